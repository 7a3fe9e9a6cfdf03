"""What a machine can do in a time: the largest patch, the faster precision, the fewest steps that teach something."""

from __future__ import annotations

import math

from mednoisy.configure.fingerprint import Fingerprint
from mednoisy.configure.machine import GIB, Machine, Speed

FEWEST_STEPS = {"cpu": 2000, "gpu": 10_000}  # the README's setting for two cores; about the shipped 14,200
HEAVIER = {"monai": 2, "nnunet": 2}  # twice the convolutions at full resolution, so twice these bytes (estimated)
BYTES_A_VOXEL = 5000  # of a patch in a step of SDCL, width 16, fp32: 2447 kept for the gradients (measured), twice
OF_BF16 = 0.53  # of these bytes, measured
GPU_SHARE, CPU_SHARE = 0.8, 0.5  # of the memory that a step may take
MOST_PATCH = 128**3  # nnU-Net's on 8 GB
PAYS_FROM = 0.9  # of fp32's time: bf16 is taken where a step takes less


def most_voxels(
    speed: Speed, machine: Machine, budget: float, batch: int, fingerprint: Fingerprint, family: str
) -> float:
    """The largest patch that time and memory allow, in voxels.

    Args:
        budget: seconds of training.
        batch: as of entry `batch_size`.
        family: of the networks, see `FAMILIES`.
    """
    gpu = machine.gpu_gib is not None
    by_time = budget / FEWEST_STEPS["gpu" if gpu else "cpu"] / speed.seconds * 1e6 / batch
    a_voxel = BYTES_A_VOXEL * HEAVIER.get(family, 1) * speed.width / 16 * (OF_BF16 if speed.precision == "bf16" else 1)
    memory = GPU_SHARE * machine.gpu_gib if machine.gpu_gib is not None else CPU_SHARE * machine.memory_gib
    return min(by_time, memory * GIB / a_voxel / batch, MOST_PATCH if fingerprint.axes == 3 else math.inf)


def fastest(machine: Machine, width: int) -> Speed:
    """fp32, or bf16 where it pays."""
    by_precision = {speed.precision: speed for speed in machine.speeds if speed.width == width}
    plain, half = by_precision["fp32"], by_precision.get("bf16")
    return half if half is not None and half.seconds < PAYS_FROM * plain.seconds else plain
