"""Predicted efficiency of training on many GPUs, from counted gradient bytes and measured step times.

    python benchmarks/scaling.py

A step of n processes takes as long as one process's and the part of its all-reduce that no computing hides. A ring
all-reduce passes 2 (n-1)/n of the gradients' bytes through each process; `bandwidth` is that of the slowest link in the
ring (between nodes the adapters of a node, which the ring crosses once), and each of the 2 (n-1) passings costs a
latency. DistributedDataParallel begins to reduce while the backward still runs: the lower figure has nothing hidden,
the higher one what half of the step's time can hide. Variation between processes is not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet

GPUS = (8, 64, 512)


@dataclass(frozen=True)
class Task:
    """What one GPU does in a step; `seconds` were measured on one H200 (benchmarks/gpu.py)."""

    title: str
    networks: Sequence[nn.Module]
    seconds: float


@dataclass(frozen=True)
class Link:
    """What joins the GPUs: bytes a second and one message's latency in seconds."""

    title: str
    bandwidth: float
    latency: float


def gradient_bytes(networks: Sequence[nn.Module]) -> int:
    """Bytes that a step's all-reduce sums: the parameters that learn, in float32."""
    return sum(p.numel() * p.element_size() for network in networks for p in network.parameters() if p.requires_grad)


def all_reduce_seconds(size: float, gpus: int, link: Link) -> float:
    """Seconds of a ring all-reduce of `size` bytes; 0 for one GPU."""
    return 2 * (gpus - 1) / gpus * size / link.bandwidth + 2 * (gpus - 1) * link.latency


def efficiency(compute: float, reduce: float, hidden: float = 0.0) -> float:
    """Share of n times one GPU's speed: 1 if the reduction hides behind the share `hidden` of the step's seconds."""
    return compute / (compute + max(0.0, reduce - hidden * compute))


TASKS = (
    Task("SDCL, V-Net and ResV-Net, 4 + 4 crops of 112x112x80, bf16", (VNet(), ResVNet()), 0.112),
    Task("SDCL, U-Net and ResU-Net, 12 + 12 slices of 256x256, lowest time", (UNet(), ResUNet()), 0.085),
    Task("SDCL, U-Net and ResU-Net, 12 + 12 slices of 256x256, highest time", (UNet(), ResUNet()), 0.105),
)
LINKS = (
    Link("100 GB/s: NVLink, or 8 adapters of 100 Gbit/s a node", 100e9, 5e-6),
    Link("50 GB/s: InfiniBand, an adapter of 400 Gbit/s a node", 50e9, 5e-6),
    Link("12.5 GB/s: Ethernet, 100 Gbit/s a node", 12.5e9, 20e-6),
    Link("3.1 GB/s: Ethernet, 25 Gbit/s a node", 3.125e9, 20e-6),
)


def main() -> None:
    for task in TASKS:
        parts = " + ".join(f"{gradient_bytes([network]) / 1e6:.1f}" for network in task.networks)
        print(f"**{task.title}**: {parts} MB of gradients, {1000 * task.seconds:.0f} ms a step on one GPU\n")
        print("| slowest link | " + " | ".join(f"{gpus} GPUs" for gpus in GPUS) + " |")
        print("| --- |" + " ---: |" * len(GPUS))
        for link in LINKS:
            cells = []
            for gpus in GPUS:
                reduce = all_reduce_seconds(gradient_bytes(task.networks), gpus, link)
                low, high = (100 * efficiency(task.seconds, reduce, hidden) for hidden in (0.0, 0.5))
                cells.append(f"{low:.0f} to {high:.0f} % ({1000 * reduce:.1f} ms)")
            print(f"| {link.title} | " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    main()
