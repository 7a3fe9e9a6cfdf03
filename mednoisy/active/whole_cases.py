"""Whole cases as windows for a network, each voxel counted once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.inference.windows import Window, batch_size_for, batches, coverage, padded, window_boxes, window_starts


def weighted_windows(image: Tensor, inferer: SlidingWindow) -> Iterator[tuple[Tensor, list[float]]]:
    """Windows of the inferer's patch, side by side, in batches (n, C, *patch), and the voxels that each stands for.

    Where windows overlap, at the end of an axis, each takes its share of a voxel, so that weights sum to the number of
    voxels; zeros around a small image weigh nothing. A volume for a network in 2D is a batch of slices.

    Args:
        image: (C, *spatial), as the network sees it.
        inferer: of the run; its stride does not matter.
    """
    slices = image.movedim(-1, 0) if isinstance(inferer, SliceWise) else image[None]
    patch = inferer.patch_size
    whole, place = padded(slices, patch)
    shape = whole.shape[2:]
    boxes = window_boxes(shape, patch, patch)
    weights = _weights(shape, patch, place)
    windows: list[tuple[Window, float]] = [
        ((number, slice(None), *box), weight)
        for number in range(len(whole))
        for box, weight in zip(boxes, weights, strict=True)
    ]
    size = inferer.batch_size or batch_size_for(patch, image.device)
    for numbers in batches(len(windows), size):
        chosen = [windows[number] for number in numbers]
        yield torch.stack([whole[box] for box, _ in chosen]), [weight for _, weight in chosen]


def _weights(shape: Sequence[int], patch: Sequence[int], place: Sequence[slice]) -> list[float]:
    """Voxels of the image in each window, a voxel that several windows hold being shared; as `window_boxes`."""
    of_axes = []
    for size, side, inside in zip(shape, patch, place, strict=True):
        shares = 1 / coverage(size, side, side).double()
        shares[: inside.start] = 0
        shares[inside.stop :] = 0
        of_axes.append([float(shares[start : start + side].sum()) for start in window_starts(size, side, side)])
    return [math.prod(parts) for parts in itertools.product(*of_axes)]
