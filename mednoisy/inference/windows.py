"""Where the windows of an image lie, how many cover each voxel, and which pass a network together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

BYTES_PER_VOXEL = 1000  # of a window in a network; V-Net at full width takes 370 in fp32 without gradients
LARGEST_BATCH = {2: 32, 3: 8}  # of images with that many axes; larger ones keep a GPU no busier
CPU_BATCH = {2: 8, 3: 4}

Box = tuple[slice, ...]
Window = tuple[int | slice, ...]  # of a batch of images: number of the case, all channels, place


def check_stride(patch_size: Sequence[int], stride: Sequence[int]) -> None:
    """Refuse a stride that leaves voxels out.

    Raises:
        ValueError: a stride is below 1 or above the patch size.
    """
    for patch, step in zip(patch_size, stride, strict=True):
        if not 1 <= step <= patch:
            raise ValueError(f"stride is {list(stride)}; each must be from 1 to the patch size {list(patch_size)}")


def window_starts(size: int, patch: int, stride: int) -> list[int]:
    """min(k * stride, size - patch) for k = 0, 1, ... until the end of an axis of `size` >= `patch` voxels."""
    return [*range(0, size - patch, stride), size - patch]


def window_boxes(shape: Sequence[int], patch_size: Sequence[int], stride: Sequence[int]) -> list[Box]:
    """The windows of an image of `shape`, the last axis fastest."""
    axes = zip(shape, patch_size, stride, strict=True)
    starts = [window_starts(size, patch, step) for size, patch, step in axes]
    return [
        tuple(slice(start, start + patch) for start, patch in zip(corner, patch_size, strict=True))
        for corner in itertools.product(*starts)
    ]


def coverage(size: int, patch: int, stride: int) -> Tensor:
    """(size,), float32: how many windows cover each position of an axis.

    Windows lie on a full grid, so a voxel is covered as often as the product over its axes tells.
    """
    covered = torch.zeros(size)
    for start in window_starts(size, patch, stride):
        covered[start : start + patch] += 1
    return covered


def window_maxima(volumes: Tensor, patch_size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The largest value in each window of volumes (B, *spatial): (B, windows), these as in `window_boxes`.

    Axis by axis, so that a voxel is looked at about patch / stride times and not once for every window that covers it.
    """
    for axis, (patch, step) in enumerate(zip(patch_size, stride, strict=True), start=1):
        starts = window_starts(volumes.shape[axis], patch, step)
        volumes = torch.stack([volumes.narrow(axis, start, patch).amax(axis) for start in starts], dim=axis)
    return volumes.flatten(1)


def padded(image: Tensor, patch_size: Sequence[int]) -> tuple[Tensor, Box]:
    """The image (B, C, *spatial) with zeros around axes shorter than the patch, and where it lies in the result.

    Half of the zeros, rounded down, are in front.
    """
    missing = [max(0, patch - size) for size, patch in zip(image.shape[2:], patch_size, strict=True)]
    place = tuple(slice(lack // 2, lack // 2 + size) for lack, size in zip(missing, image.shape[2:], strict=True))
    if any(missing):
        sides = [side for lack in reversed(missing) for side in (lack // 2, lack - lack // 2)]
        image = F.pad(image, sides)
    return image, place


def batches(count: int, batch_size: int) -> Iterator[range]:
    """The numbers 0 to `count` - 1 in runs of nearly equal length, `batch_size` at most.

    No run is of one alone where `batch_size` and `count` are above 1 (so with an odd count and a `batch_size` of 2
    there is one of three): PyTorch runs some convolutions of a single crop outside oneDNN on a CPU, and V-Net at half
    width then takes 2.6 times as long for a window of 64x64x48.
    """
    runs = math.ceil(count / batch_size)
    if batch_size > 1 and count > 1:
        runs = min(runs, count // 2)
    ends = [count * number // runs for number in range(runs + 1)] if runs else []
    return itertools.starmap(range, itertools.pairwise(ends))


def batch_size_for(patch_size: Sequence[int], device: torch.device) -> int:
    """Windows that pass a network together: on a GPU as many as half of its free memory holds, 8 at most (2D: 32).

    At 1 kB a voxel, which V-Net takes at 2.7 times its published width. On a CPU 4 (2D: 8), whatever its memory.
    """
    axes = len(patch_size)
    if device.type != "cuda":
        return CPU_BATCH[axes]
    fitting = free_memory(device) // (2 * BYTES_PER_VOXEL * math.prod(patch_size))
    return max(1, min(LARGEST_BATCH[axes], fitting))


def free_memory(device: torch.device) -> int:
    """Bytes that the driver of a GPU has left; what PyTorch keeps for the networks is not counted."""
    return int(torch.cuda.mem_get_info(device)[0])


def accumulator_device(device: torch.device, needed: int, free: int) -> torch.device:
    """Where scores are summed: on a GPU where `needed` of its `free` bytes leave a tenth, else on the CPU."""
    return device if device.type == "cpu" or needed <= 0.9 * free else torch.device("cpu")
