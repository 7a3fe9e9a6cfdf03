"""Boxes copied from one image into another: first the draw, then the paste."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor

Box = tuple[slice, ...]  # one slice per spatial axis, in voxels, inside the image
DrawBox = Callable[[Sequence[int], np.random.Generator], Box]


@dataclass(frozen=True)
class BoxRule:
    """Draws one axis-aligned box: side `int(ratio * size)` per axis, its start uniform over what fits.

    Attributes:
        ratio: share of each axis that the box takes, in (0, 1].
        last_included: whether the last position that fits may be drawn. The released codes of BCP and SDCL
            exclude it.
        drawn_for: the shape whose sizes limit the starts, by default the image's own. The released left atrium
            code takes (112, 112, 80) whatever the patch; a box then may leave the image and is cut to it, perhaps
            to nothing.

    Source: Bai et al. 2023 (BCP), section 3.2; the paper calls the mask zero-centred, the code draws its place.

    Examples:
        >>> box = BoxRule(ratio=0.5)((8, 6), np.random.default_rng(0))
        >>> [side.stop - side.start for side in box]
        [4, 3]
    """

    ratio: float = 2 / 3
    last_included: bool = True
    drawn_for: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio is {self.ratio}; a box takes a share in (0, 1] of each axis")

    def __call__(self, shape: Sequence[int], generator: np.random.Generator) -> Box:
        """A box inside an image of `shape`, one whole number drawn per axis in order."""
        limits = self.drawn_for or shape
        if len(limits) != len(shape):
            raise ValueError(f"drawn_for has {len(limits)} axes; the image has {len(shape)}")
        box = []
        for size, limit in zip(shape, limits, strict=True):
            side = max(int(size * self.ratio), 1)
            starts = max(limit - side + self.last_included, 1)
            start = int(generator.integers(0, starts))
            box.append(slice(min(start, size), min(start + side, size)))
        return tuple(box)


def paste(background: Tensor, patch: Tensor, box: Box) -> Tensor:
    """A copy of `background` with `patch` inside the box: `M * background + (1 - M) * patch`, M = 0 in the box.

    Args:
        background: (..., *S), images or labels.
        patch: the same shape and dtype.
        box: one slice per spatial axis, the same for the whole batch.

    Examples:
        >>> paste(torch.zeros(1, 4), torch.ones(1, 4), (slice(1, 3),))
        tensor([[0., 1., 1., 0.]])
    """
    if background.shape != patch.shape:
        raise ValueError(f"background is {tuple(background.shape)}, patch is {tuple(patch.shape)}; they must agree")
    inside: tuple[EllipsisType | slice, ...] = (..., *box)
    mixed = background.clone()
    mixed[inside] = patch[inside]
    return mixed


def outside(shape: Sequence[int], box: Box, device: torch.device | str = "cpu") -> Tensor:
    """The mask M of a box: (*S), bool, true outside it.

    Examples:
        >>> outside((4,), (slice(1, 3),))
        tensor([ True, False, False,  True])
    """
    mask = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    mask[box] = False
    return mask
