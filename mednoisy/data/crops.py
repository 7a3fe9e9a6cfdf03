"""Where crops are cut from images, and what surrounds images that are smaller."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.ignored_voxels import IGNORED


def crop_starts(
    shape: Sequence[int], patch: Sequence[int], generator: np.random.Generator, exclude_last: bool = False
) -> list[int]:
    """A uniform position of a patch in a volume that is at least as large.

    Args:
        exclude_last: never the last position, as in the published loaders (`randint(0, L - P)`).
    """
    highest = [size - side + (0 if exclude_last else 1) for size, side in zip(shape, patch, strict=True)]
    return [int(generator.integers(0, max(1, high))) for high in highest]


def starts_that_see(label: Tensor, patch: Sequence[int], draw: Draw) -> list[int]:
    """A position of a patch that holds some labeled voxel, in place of one that held none.

    A labeled voxel is drawn, then a position uniformly among those that hold it.

    Args:
        label: (*spatial), at least as large as the patch, `IGNORED` where nobody looked, with some voxel that is not.
    """
    generator = draw.generator("labeled voxel")
    known = np.flatnonzero((label != IGNORED).numpy())
    voxel = np.unravel_index(int(known[generator.integers(len(known))]), tuple(label.shape))
    starts = []
    for place, size, side in zip(voxel, label.shape, patch, strict=True):
        lowest, highest = max(int(place) - side + 1, 0), min(int(place), size - side)
        starts.append(int(generator.integers(lowest, highest + 1)))
    return starts


def padded(
    image: Tensor, patch: Sequence[int], margin: int | None = None, beyond: Sequence[float] | None = None
) -> Tensor:
    """`image` (C, *spatial) with zeros around it until no axis is shorter than the patch.

    Args:
        beyond: what is around it instead, one number a channel.
        margin: None pads short axes only, half of the deficit in front. A number pads as the published
            loaders do: if any axis is not longer than the patch, every axis gets
            max((P - L) // 2 + margin, 0) on both sides (margin 1 in SDCL, 3 in UA-MT and BCP).
    """
    sizes = image.shape[1:]
    if margin is None:
        missing = [max(side - size, 0) for size, side in zip(sizes, patch, strict=True)]
        pads = [(total // 2, total - total // 2) for total in missing]
    elif any(size <= side for size, side in zip(sizes, patch, strict=True)):
        pads = [(max((side - size) // 2 + margin, 0),) * 2 for size, side in zip(sizes, patch, strict=True)]
    else:
        return image
    if not any(front or behind for front, behind in pads):
        return image
    amounts = [amount for pair in reversed(pads) for amount in pair]
    if beyond is None:
        return functional.pad(image, amounts)
    return torch.stack([functional.pad(part, amounts, value=v) for part, v in zip(image, beyond, strict=True)])


def looked_at(label: Tensor) -> bool:
    return bool((label != IGNORED).any())


def window_at(starts: Sequence[int], patch: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), *(slice(start, start + side) for start, side in zip(starts, patch, strict=True)))
