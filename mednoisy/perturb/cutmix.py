"""CutMix: each image of a batch gets a box of another one; first the draw, then the swap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.errors import UserError
from mednoisy.perturb.copy_paste import Box, outside

DrawBoxes = Callable[[int, Sequence[int], np.random.Generator], list[Box]]
LARGEST_SHARE = 0.9  # above it boxes that fit are so rare that drawing one takes long


@dataclass(frozen=True)
class CutMixRule:
    """Draws one box per image, or an empty one.

    The box takes a share U(`shares`) of the image. In 2D its rows are r times its columns, as shares of the axes,
    with r from U(`ratios`); in 3D the first and the second axis each have a ratio to the last one. Ratios and position
    are drawn again until the box fits.

    Attributes:
        probability: of a box.
        shares: smallest and largest share of the image's area or volume, in (0, .9].
        ratios: smallest and largest ratio of two sides, on either side of 1.

    Source: UniMatch (Yang et al. 2023) and, before it, French et al. 2020; for square slices, which 3D continues.

    Examples:
        A quarter of a square is a square of half the side, when no other ratio may be drawn:

        >>> rule = CutMixRule(probability=1, shares=(0.25, 0.25), ratios=(1, 1))
        >>> [box] = rule(1, (8, 8), np.random.default_rng(0))
        >>> [side.stop - side.start for side in box]
        [4, 4]
    """

    probability: float = 0.5
    shares: tuple[float, float] = (0.02, 0.4)
    ratios: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must lie in 0..1")
        if not 0 < self.shares[0] <= self.shares[1] <= LARGEST_SHARE:
            raise ValueError(f"shares are {self.shares}; they must rise within (0, {LARGEST_SHARE}]")
        if not 0 < self.ratios[0] <= 1 <= self.ratios[1]:
            raise ValueError(f"ratios are {self.ratios}; they must be positive, one up to 1 and one from 1 on")

    def __call__(self, count: int, shape: Sequence[int], generator: np.random.Generator) -> list[Box]:
        """`count` boxes inside images of `shape`; sides are cut to whole voxels, at least 1."""
        return [self._box(shape, generator) for _ in range(count)]

    def _box(self, shape: Sequence[int], generator: np.random.Generator) -> Box:
        if generator.random() >= self.probability:
            return (slice(0, 0),) * len(shape)
        share = generator.uniform(*self.shares)
        while True:
            ratios = [*generator.uniform(*self.ratios, size=len(shape) - 1), 1.0]
            last = (share / math.prod(ratios)) ** (1 / len(shape))
            sides = [max(int(size * last * ratio), 1) for size, ratio in zip(shape, ratios, strict=True)]
            starts = generator.integers(0, shape)
            if all(start + side <= size for start, side, size in zip(starts, sides, shape, strict=True)):
                return tuple(slice(int(start), int(start) + side) for start, side in zip(starts, sides, strict=True))


def inside(boxes: Sequence[Box], shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Where each image's box is: (B, *S), bool.

    Examples:
        >>> inside([(slice(1, 3),), (slice(0, 0),)], (4,))
        tensor([[False,  True,  True, False],
                [False, False, False, False]])
    """
    return torch.stack([~outside(shape, box, device) for box in boxes])


def cut_mix(values: Tensor, where: Tensor) -> Tensor:
    """`values` with those of the sample before it in the batch (the last for the first) where `where` is true.

    Args:
        values: (B, C, *S), images, or (B, *S), labels or masks.
        where: (B, *S), bool.

    Raises:
        UserError: E122, there is only one sample.

    Examples:
        >>> where = torch.tensor([[False, True, True], [True, False, False]])
        >>> cut_mix(torch.tensor([[1, 1, 1], [2, 2, 2]]), where)
        tensor([[1, 2, 2],
                [1, 2, 2]])
    """
    if len(values) < 2:
        raise UserError(
            "E122",
            f"a step has {len(values)} unlabeled crop; CutMix takes a box from another one",
            "Draw two or more unlabeled crops a step",
        )
    region = where if values.ndim == where.ndim else where.unsqueeze(1)
    return torch.where(region, values.roll(1, dims=0), values)
