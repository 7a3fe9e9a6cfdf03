"""Faults of pictures for chains: motion, medians, contrast equalised place by place, holes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mednoisy.errors import UserError
from mednoisy.perturb.distortions import equalised_locally, median_of_neighbours, motion_blurred


@dataclass(frozen=True)
class MotionBlur:
    """Pictures of a moving camera, see `motion_blurred`, in any direction alike.

    Attributes:
        lengths: odd numbers of pixels, of which one is drawn.

    Examples:
        >>> import torch
        >>> line = torch.tensor([[[[0.0, 0.0, 3.0, 0.0, 0.0]]]])
        >>> MotionBlur().apply(line, np.array([[3, 0.0]]))
        tensor([[[[0., 1., 1., 1., 0.]]]])
    """

    lengths: Sequence[int] = (3, 5)
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not self.lengths or any(length % 2 == 0 for length in self.lengths):
            raise ValueError(f"lengths are {self.lengths}; lines need a pixel in their middle, so odd numbers")

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Length and angle."""
        _check_pictures(self, shape)
        return np.array([self.lengths[int(generator.integers(len(self.lengths)))], generator.uniform(0, math.pi)])

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return motion_blurred(images, numbers[:, 0].astype(int), numbers[:, 1])


@dataclass(frozen=True)
class MedianFilter:
    """Pictures of medians over 3x3 pixels, see `median_of_neighbours`.

    Examples:
        >>> import torch
        >>> MedianFilter().apply(torch.tensor([[[[1.0, 9.0, 1.0]]]]), np.empty((1, 0)))
        tensor([[[[1., 1., 1.]]]])
    """

    probability: float = 1.0

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Nothing."""
        _check_pictures(self, shape)
        return np.empty(0)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return median_of_neighbours(images)


@dataclass(frozen=True)
class LocalEqualisation:
    """Local contrast equalised up to a limit U(clip), see `equalised_locally` (CLAHE).

    Examples:
        >>> import torch
        >>> LocalEqualisation().apply(torch.ones(1, 1, 2, 2), np.array([[2.0]])).shape
        torch.Size([1, 1, 2, 2])
    """

    clip: tuple[float, float] = (1.0, 4.0)
    probability: float = 0.7

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The limit."""
        _check_pictures(self, shape)
        return generator.uniform(*self.clip, 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return equalised_locally(images, numbers[:, 0])


@dataclass(frozen=True)
class Holes:
    """Boxes of zeros; sides of a voxel up to a share of the image's, all lengths and places within it alike.

    Attributes:
        count: smallest and largest number.
        side: largest side, as a share of the image's.

    Examples:
        >>> import torch
        >>> Holes(count=(1, 1)).apply(torch.ones(1, 1, 2, 3), np.array([[0, 1, 1, 3]]))
        tensor([[[[1., 0., 0.],
                  [1., 1., 1.]]]])
    """

    count: tuple[int, int] = (1, 6)
    side: float = 0.2
    probability: float = 0.7

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Starts, then ends, of as many boxes as there may be, along each axis; boxes too many are empty."""
        sides = np.asarray(shape[1:])
        boxes = self.count[1], len(sides)
        lengths = generator.integers(1, np.maximum(self.side * sides, 1).astype(int), size=boxes, endpoint=True)
        starts = generator.integers(0, sides - lengths, endpoint=True)
        lengths[generator.integers(*self.count, endpoint=True) :] = 0
        return np.stack([starts, starts + lengths]).ravel()

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        changed = images.clone()
        boxes = numbers.astype(int).reshape(len(images), 2, self.count[1], images.ndim - 2)
        for image, (starts, ends) in zip(changed, boxes, strict=True):
            for start, end in zip(starts, ends, strict=True):
                image[:, *map(slice, start, end)].zero_()
        return changed


def _check_pictures(change: object, shape: Sequence[int]) -> None:
    """Refuse what has not two axes.

    Raises:
        UserError: E232.
    """
    dimensions, name = len(shape) - 1, type(change).__name__
    if dimensions != 2:
        raise UserError(
            "E232",
            f"crops have {dimensions} axes, and {name} in train#intensity changes pictures, which have 2",
            "Leave it out",
        )
