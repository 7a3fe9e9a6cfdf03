"""What an augmentation offers to stand in a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from mednoisy.perturb.resampling import Positions


@runtime_checkable
class Augmentation(Protocol):
    """What is drawn for one image with a `probability`, as a row of numbers, always equally many for one shape.

    Further, it has `symmetry` (turns and flips), `warp` and `unchanged` (other changes of geometry) or `apply`
    (intensity).
    """

    @property
    def probability(self) -> float: ...

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Numbers (n,) for an image of `shape` (C, *S); float64, which also holds whole numbers below 2**53."""


@runtime_checkable
class Symmetry(Augmentation, Protocol):
    """Turns and flips: voxels change places and nothing else."""

    def symmetry(self, numbers: np.ndarray, dimensions: int) -> np.ndarray:
        """(D, D) of 0, 1 and -1: the place, from the image's centre, that is shown at a place."""


@runtime_checkable
class Warp(Augmentation, Protocol):
    """A change of geometry that interpolates."""

    def unchanged(self, shape: Sequence[int]) -> np.ndarray:
        """The numbers that change nothing."""

    def warp(self, positions: Positions, numbers: np.ndarray, shape: Sequence[int]) -> tuple[Positions, Tensor | None]:
        """The places that are shown at `positions`, of images of `shape` (B, C, *S); and the share, (B, *S), of what is
        seen there where the rest is 0, None where nothing is hidden.
        """


@runtime_checkable
class IntensityChange(Augmentation, Protocol):
    """A change of intensity."""

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        """Changed images (B, C, *S) under numbers (B, n); the inputs stay as they are."""
