"""Blocks of an image that are hidden from a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCKS = 6  # along an axis, at least, where the side of a block is not said
LONGEST = 16  # voxels; the published side, of patches of 160


@dataclass(frozen=True)
class MaskedBlocks:
    """An exact share of the blocks that an image is cut into, drawn without replacement.

    Attributes:
        share: of blocks that are hidden, to the nearest whole number of them, at least one and never all.
        side: of a block in voxels, those at the far ends may be shorter; None for 16, or less where an axis would have
            fewer than six blocks.

    Raises:
        ValueError: a share that is not between 0 and 1, or a side below 1.

    Source: the masked autoencoder of nnssl (Wald et al. 2025, arXiv:2412.17041): 75 % of blocks of 16 voxels.

    Examples:
        >>> MaskedBlocks(share=0.5, side=8).share
        0.5
    """

    share: float = 0.75
    side: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"the share of masked blocks is {self.share}; it must lie between 0 and 1")
        if self.side is not None and self.side < 1:
            raise ValueError(f"the side of masked blocks is {self.side}; it must be 1 voxel or more")

    def sides(self, shape: Sequence[int]) -> list[int]:
        """Of a block along each axis of an image (*S), in voxels."""
        if self.side is not None:
            return [min(self.side, size) for size in shape]
        return [min(LONGEST, max(size // BLOCKS, 1)) for size in shape]

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """(*S), bool: what is hidden."""
        sides = self.sides(shape)
        counts = [-(-size // side) for size, side in zip(shape, sides, strict=True)]
        blocks = math.prod(counts)
        hidden = np.zeros(blocks, bool)
        if blocks > 1:
            hidden[generator.permutation(blocks)[: min(max(round(self.share * blocks), 1), blocks - 1)]] = True
        mask = hidden.reshape(counts)
        for axis, side in enumerate(sides):
            mask = mask.repeat(side, axis=axis)
        return mask[tuple(slice(size) for size in shape)]
