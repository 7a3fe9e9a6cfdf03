"""Whole cases as windows for a network, each voxel counted once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.inference.windows import Window, batch_size_for, batches, coverage, padded, window_boxes


@dataclass(frozen=True)
class Place:
    """Where a window lies in an image.

    Attributes:
        start: its first voxel along each axis of the image; below 0 where zeros lie in front of a small image.
        shares: along each axis, what part of each of the window's voxels counts here: 0 of zeros around the image, a
            half where another window holds it, too.
    """

    start: tuple[int, ...]
    shares: tuple[Tensor, ...]

    @property
    def voxels(self) -> float:
        """How many the window stands for."""
        return math.prod(float(share.sum()) for share in self.shares)


def placed_windows(image: Tensor, inferer: SlidingWindow) -> Iterator[tuple[Tensor, list[Place]]]:
    """Windows of the inferer's patch, side by side, in batches (n, C, *patch), and where each lies.

    Where windows overlap, at the end of an axis, each takes its share of a voxel, so that `voxels` sum to those of the
    image; zeros around a small image weigh nothing. A volume for a network in 2D is a batch of slices, each a window
    of one voxel along the last axis.

    Args:
        image: (C, *spatial), as the network sees it.
        inferer: of the run; its stride does not matter.
    """
    by_slice = isinstance(inferer, SliceWise)
    slices = image.movedim(-1, 0) if by_slice else image[None]
    patch = inferer.patch_size
    whole, inside = padded(slices, patch)
    of_axes = []
    for size, side, within in zip(whole.shape[2:], patch, inside, strict=True):
        shares = 1 / coverage(size, side, side).double()
        shares[: within.start] = 0
        shares[within.stop :] = 0
        of_axes.append(shares)
    windows: list[tuple[Window, Place]] = []
    for number in range(len(whole)):
        behind = [(number, torch.ones(1, dtype=torch.float64))] if by_slice else []
        for box in window_boxes(whole.shape[2:], patch, patch):
            axes = [
                (part.start - within.start, shares[part])
                for part, within, shares in zip(box, inside, of_axes, strict=True)
            ]
            start, of_window = zip(*axes, *behind, strict=True)
            windows.append(((number, slice(None), *box), Place(start, of_window)))
    size = inferer.batch_size or batch_size_for(patch, image.device)
    for numbers in batches(len(windows), size):
        chosen = [windows[number] for number in numbers]
        yield torch.stack([whole[box] for box, _ in chosen]), [place for _, place in chosen]
