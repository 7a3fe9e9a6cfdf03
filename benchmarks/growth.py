"""How a training step grows with patch, batch and classes, and a process with its cases: figures and fitted exponents.

    OMP_NUM_THREADS=1 python benchmarks/growth.py

A step is the trainer's, of SDCL on V-Net and ResV-Net in fp32 on random images, in processor seconds. An exponent is
the slope of log seconds over log size by least squares: 1 is growth in proportion, less where something is fixed.
Memory is what a process of its own holds after it read n cases and drew batches from them, less what it held before;
holes that reading left in its heap (a fifth of the cases' bytes) are given back first, a training fills them.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from step_tasks import Setting, Task, our_step
from torch import nn

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.training_stream import TrainingStream
from mednoisy.kept_memory import kept_memory
from mednoisy.networks.vnet import ResVNet, VNet

CASE = (96, 96, 64)  # voxels
PAGE = 4096


@dataclass(frozen=True)
class SizedTask(Task):
    """SDCL on volumes with so many classes, of which the labels hold two."""

    classes: int = 2

    def networks(self) -> list[nn.Module]:
        torch.manual_seed(0)
        settings: dict[str, Any] = {"num_classes": self.classes, "width": self.width, "head_dropout": 0.0}
        return [VNet(**settings, bottleneck_dropout=0.0), ResVNet(**settings)]


def sweeps() -> dict[str, dict[int, SizedTask]]:
    """What is varied -> its size -> the task of that size."""
    patches = ((32, 32, 16), (32, 32, 32), (64, 32, 32), (64, 64, 32), (64, 64, 64))
    return {
        "voxels of a crop": {int(np.prod(patch)): SizedTask("SDCL", patch, 2, 4) for patch in patches},
        "crops of a batch": {4 * half: SizedTask("SDCL", (32, 32, 32), 2 * half, 4) for half in (1, 2, 4, 8)},
        "classes": {count: SizedTask("SDCL", (32, 32, 32), 2, 4, count) for count in (2, 4, 8, 16)},
    }


def seconds_of(task: SizedTask, rounds: int) -> float:
    """Median processor seconds of a step."""
    taken = []
    with tempfile.TemporaryDirectory() as folder, kept_memory():
        step, _ = our_step(task, Setting(), torch.device("cpu"), Path(folder))
        for _ in range(rounds + 2):
            start = time.process_time()
            step()
            taken.append(time.process_time() - start)
    return statistics.median(taken[2:])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of values ~ sizes^p, by least squares of their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def held_bytes(cases: int) -> tuple[int, int]:
    """Bytes that this process holds more after reading `cases` and drawing from them, and bytes of the cases."""

    def load(case: dict[str, Any]) -> dict[str, Any]:
        generator = np.random.default_rng(case["number"])
        image = torch.from_numpy(generator.standard_normal(CASE, dtype=np.float32))
        affine = torch.eye(4)
        label = MetaTensor((image[None] > 1).to(torch.uint8), affine=affine)
        return {"id": case["id"], "image": MetaTensor(image[None], affine=affine), "label": label}

    def drawn(numbers: range) -> CachedCases:
        held = CachedCases([{"id": f"p{number}", "number": number} for number in numbers], load)
        stream = TrainingStream(held, None, (64, 64, 48))
        for step in range(20):
            stream.batch("training", step, 4, 0)
        return held

    drawn(range(4))  # what is loaded once, whatever comes
    before = _resident()
    held = drawn(range(cases))
    return _resident() - before, held.nbytes


def _resident() -> int:
    """Bytes of this process, once it has given back what is free in its heap."""
    with kept_memory():
        pass
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--held", type=int, metavar="CASES", help=argparse.SUPPRESS)  # for the processes of its own
    given = parser.parse_args()
    if given.held is not None:
        print(*held_bytes(given.held))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    print("| what grows | sizes | ms a step | exponent |\n| --- | --- | --- | ---: |")
    for what, tasks in sweeps().items():
        taken = [seconds_of(task, given.rounds) for task in tasks.values()]
        milliseconds = ", ".join(f"{1000 * seconds:.0f}" for seconds in taken)
        sizes = ", ".join(map(str, tasks))
        print(f"| {what} | {sizes} | {milliseconds} | {exponent(list(tasks), taken):.2f} |", flush=True)
    print("\n| cases | MB of them | MB the process holds for them | the rest |\n| ---: | ---: | ---: | ---: |")
    for count in (8, 32, 128, 256):
        command = [sys.executable, __file__, "--held", str(count)]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        held, own = (int(word) / 1e6 for word in words)
        print(f"| {count} | {own:.1f} | {held:.1f} | {held - own:.1f} |", flush=True)


if __name__ == "__main__":
    main()
