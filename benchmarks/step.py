"""Seconds of one training step by precision and memory format, interleaved: medians and ratios to fp32.

    OMP_NUM_THREADS=1 python benchmarks/step.py --rounds 7

V-Net and U-Net as published and at half width, forward, loss, backward and Adam on random images.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mednoisy.losses.segmentation import cross_entropy, dice_loss
from mednoisy.networks.unet import UNet
from mednoisy.networks.vnet import VNet

SETTINGS = (("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True))


def step_of(network: nn.Module, images: Tensor, labels: Tensor, precision: str, channels_last: bool) -> Callable:
    """A training step as a function without arguments."""
    form = torch.contiguous_format
    if channels_last:
        form = torch.channels_last_3d if images.ndim == 5 else torch.channels_last
    network, images = network.to(memory_format=form), images.to(memory_format=form)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = network(images)
        loss = dice_loss(logits, labels, "per_sample") + cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def measure(name: str, make: Callable[[], nn.Module], shape: tuple[int, ...], classes: int, rounds: int) -> None:
    """Print a line per setting for one network."""
    images = torch.randn(shape)
    labels = torch.randint(0, classes, (shape[0], *shape[2:]))
    steps = {setting: step_of(make(), images, labels, *setting) for setting in SETTINGS}
    seconds: dict[tuple[str, bool], list[float]] = {setting: [] for setting in SETTINGS}
    for number in range(rounds + 1):
        for setting, step in steps.items():
            start = time.perf_counter()
            step()
            if number:  # the first is a warm-up
                seconds[setting].append(time.perf_counter() - start)
    first = statistics.median(seconds[SETTINGS[0]])
    for (precision, channels_last), times in seconds.items():
        median = statistics.median(times)
        layout = "channels last" if channels_last else "contiguous"
        print(f"| {name} | {precision} | {layout} | {median:.3f} | {first / median:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    print("| network | precision | memory | s a step | times faster |\n| --- | --- | --- | ---: | ---: |")
    measure("V-Net, half width, 2 x 64x64x48", lambda: VNet(width=8), (2, 1, 64, 64, 48), 2, rounds)
    measure("V-Net, 2 x 64x64x48", VNet, (2, 1, 64, 64, 48), 2, rounds)
    measure("U-Net, 12 x 96x96", UNet, (12, 1, 96, 96), 4, rounds)


if __name__ == "__main__":
    main()
