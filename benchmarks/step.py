"""Seconds and memory of a whole training step, ours against a plain loop: interleaved medians, ratios, a split.

    OMP_NUM_THREADS=1 python benchmarks/step.py --rounds 7

SDCL on volumes and on slices and BCP on slices, on random images: the teacher labels, pseudo-labels are cleaned up,
images are mixed, students learn. `plain` is benchmarks/plain_steps.py in fp32; its losses and ours must agree in the
first step. The split is that of our last setting, in shares of its step. On a CPU time is the processor's, which other
work on the machine disturbs least. The same on a GPU: --device cuda --size full.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from step_tasks import ON_CPU, ON_GPU, SIZES, Setting, Task, our_step, plain_step

import mednoisy.methods.bcp
import mednoisy.methods.sdcl
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.kept_memory import kept_memory
from mednoisy.methods.sdcl import SDCL

PLAIN = "plain fp32"
PARTS = ("teacher", "clean-up", "students and losses", "backward", "optimiser", "teacher follows")


class Clock:
    """Time of the parts of a step, on the device's own clock where there is one."""

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"
        self.marks: dict[str, list[Any]] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        start = self._now()
        yield
        self.marks.setdefault(part, []).append((start, self._now()))

    def seconds(self) -> dict[str, float]:
        """Sums by part since the last call; waits for the device."""
        if self.on_gpu:
            torch.cuda.synchronize()
        sums = {
            part: sum(start.elapsed_time(end) / 1000 if self.on_gpu else end - start for start, end in pairs)
            for part, pairs in self.marks.items()
        }
        self.marks = {}
        return sums

    def _now(self) -> Any:
        if not self.on_gpu:
            return time.process_time()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


@dataclass
class Row:
    """What was seen of one way to carry a step out."""

    name: str
    step: Callable[[], Any]
    ours: bool
    standing: int = 0  # bytes between steps
    peak: int = 0  # bytes within them
    seconds: list[float] = field(default_factory=list)


def measure(task: Task, settings: Sequence[Setting], device: torch.device, rounds: int, steps: int) -> dict[str, Any]:
    """Medians of interleaved rounds of `steps` steps each; losses of the first step; the split of the last setting."""
    rows, first, trainers = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        makers: list[tuple[str, Callable[[], Any]]] = [(PLAIN, lambda: (plain_step(task, device), None))]
        makers += [(str(one), partial(our_step, task, one, device, Path(folder) / str(one))) for one in settings]
        failed = {}
        for name, make in makers:
            before = _allocated(device)
            try:
                step, trainer = make()
                seen = step()
                first[name] = seen if trainer is None else _losses(trainer)
                step()
            except RuntimeError as fault:  # a compiler that is not there, memory that does not suffice
                failed[name] = f"{type(fault).__name__}: {str(fault).splitlines()[0]}"
                continue
            trainers[name] = trainer
            rows.append(Row(name, step, trainer is not None, _allocated(device) - before))
        for _ in range(rounds):
            for row in rows:
                _time(row, device, steps)
        shares = _split(trainers[rows[-1].name], rows[-1].step, device, steps)
    plain = statistics.median(rows[0].seconds)
    return {
        "task": task.title,
        "rows": [
            {
                "name": row.name,
                "ms": 1000 * statistics.median(row.seconds),
                "times_faster": plain / statistics.median(row.seconds),
                "lowest_ms": 1000 * min(row.seconds),
                "highest_ms": 1000 * max(row.seconds),
                "peak_mib": row.peak / 2**20,
                "loss": first[row.name],
            }
            for row in rows
        ],
        "failed": failed,
        "split": {"of": rows[-1].name, **shares},
    }


def _losses(trainer: SemiSupervisedTrainer) -> dict[str, float]:
    """The totals of the students, in the last step that is not logged yet."""
    weights = {"dice": 0.5, "ce": 0.5, "gap": 0.5, "doubt": 0.05, "disagreement": 0.0}
    totals: dict[str, float] = {}
    for name, value in trainer.training.progress.pending[-1].items():
        student, term = name.split("/")
        totals[student] = totals.get(student, 0.0) + weights[term.split("_")[0]] * float(value)
    return dict(zip("ab", totals.values(), strict=False))


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _time(row: Row, device: torch.device, steps: int) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    others = _allocated(device) - row.standing
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    with kept_memory() if row.ours and device.type == "cpu" else nullcontext():  # as the trainer does
        row.step()  # so that memory is as it is within a training
        start = clock()
        for _ in range(steps):
            row.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        row.seconds.append((clock() - start) / steps)
    if device.type == "cuda":
        row.peak = max(row.peak, torch.cuda.max_memory_allocated() - others)


def _split(trainer: SemiSupervisedTrainer, step: Callable[[], Any], device: torch.device, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by part, as the device sees them; what is left is copying, mixing and the host."""
    clock, training = Clock(device), trainer.training

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with clock.of(part):
                return function(*args, **kwargs)

        return call

    module = mednoisy.methods.sdcl if isinstance(training.method, SDCL) else mednoisy.methods.bcp
    with (
        patch.object(module, "label_halves", timed("teacher", module.label_halves)),
        patch.object(module, "pseudo_labels", timed("clean-up", module.pseudo_labels)),
        patch.object(training, "wrapped", timed("students and losses", training.wrapped)),
        patch.object(training.optimisers, "backward", timed("backward", training.optimisers.backward)),
        patch.object(training.optimisers, "apply", timed("optimiser", training.optimisers.apply)),
        patch.object(training.method, "after_update", timed("teacher follows", training.method.after_update)),
        clock.of("whole"),
    ):
        for _ in range(steps):
            step()
    sums = {part: 1000 * seconds / steps for part, seconds in clock.seconds().items()}
    sums["students and losses"] -= sums["teacher"] + sums["clean-up"]
    sums["rest"] = sums["whole"] - sum(sums[part] for part in PARTS)
    return sums


def markdown(result: dict[str, Any]) -> str:
    """A task's table and split."""
    lines = [
        f"**{result['task']}**",
        "",
        "| step | ms | times faster | range, ms | peak, MiB | loss of the first step |",
    ]
    lines += ["| --- | ---: | ---: | ---: | ---: | --- |"]
    for row in result["rows"]:
        loss = ", ".join(f"{value:.5f}" for value in (row["loss"] or {}).values())
        spread = f"{row['lowest_ms']:.1f} to {row['highest_ms']:.1f}"
        peak = f"{row['peak_mib']:.0f}" if row["peak_mib"] else ""
        lines.append(f"| {row['name']} | {row['ms']:.1f} | {row['times_faster']:.2f} | {spread} | {peak} | {loss} |")
    lines += [f"| {name} | failed: {cause} | | | | |" for name, cause in result["failed"].items()]
    split = dict(result["split"])
    name = split.pop("of")
    parts = ", ".join(f"{part} {ms:.1f}" for part, ms in split.items())
    return "\n".join([*lines, "", f"Of {name}, in ms: {parts}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1, help="steps of a round")
    parser.add_argument("--size", choices=SIZES, default="half")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    for task in SIZES[given.size]:
        settings = ON_GPU if device.type == "cuda" else ON_CPU
        print(markdown(measure(task, settings, device, given.rounds, given.steps)), flush=True)


if __name__ == "__main__":
    main()
