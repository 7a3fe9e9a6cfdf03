"""Changes that a network learns to undo: another scale of intensities, shuffled voxels, painted boxes.

All of them take images whose channels run from 0 to 1 (`unit_range`) and leave them there.

Source: Models Genesis, Zhou et al. 2021, arXiv:2004.07882, section 3, with the figures of the released code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.perturb.augmentation import Intensity, OneOf
from mednoisy.perturb.hashed_noise import hashed_uniforms
from mednoisy.perturb.host_values import on_device

TABLE = 1024  # steps of a curve's table over 0..1
MARGIN = 3  # voxels between a painted box and the border


def unit_range(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images with each channel brought to 0..1, and the lowest value and the span that bring it back.

    Args:
        images: (B, C, *S).

    Returns:
        Images like those given, then lowest value and span (B, C, 1, ..., 1); a flat channel becomes 0, of span 0.

    Examples:
        >>> unit, lowest, span = unit_range(torch.tensor([[[-1.0, 1.0, 3.0]]]))
        >>> unit, lowest.item(), span.item()
        (tensor([[[0.0000, 0.5000, 1.0000]]]), -1.0, 4.0)
    """
    space = tuple(range(2, images.ndim))
    lowest = images.amin(space, keepdim=True)
    span = images.amax(space, keepdim=True) - lowest
    return (images - lowest) / torch.where(span > 0, span, torch.ones_like(span)), lowest, span


@dataclass(frozen=True)
class NonLinearIntensity:
    """Values moved along a cubic Bézier curve from (0, 0) to (1, 1), or from (0, 1) to (1, 0).

    The two points between are drawn from the unit square, and sorted, so that the order of values stays or turns round.

    Attributes:
        inverted: probability of the falling curve.

    Examples:
        Points on the diagonal change nothing:

        >>> points = np.array([[1 / 3, 2 / 3, 1 / 3, 2 / 3, 0]])
        >>> NonLinearIntensity().apply(torch.tensor([[[0.0, 0.25, 1.0]]]), points)
        tensor([[[0.0000, 0.2500, 1.0000]]])
    """

    inverted: float = 0.5
    probability: float = 0.9

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Abscissae and ordinates of the two points, then whether the curve falls."""
        points = np.sort(generator.uniform(size=(2, 2)), axis=1)
        return np.append(points.ravel(), generator.random() < self.inverted)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        tables = on_device(np.stack([_curve(*row) for row in numbers]), images.device, images.dtype)
        places = images.flatten(1).clamp(0, 1) * TABLE
        below = places.floor().clamp_(max=TABLE - 1)
        left = below.long()
        low, high = tables.gather(1, left), tables.gather(1, left + 1)
        return (low + (places - below) * (high - low)).reshape(images.shape)


def _curve(x1: float, x2: float, y1: float, y2: float, falls: float) -> np.ndarray:
    """A Bézier curve's ordinates at `TABLE` + 1 abscissae from 0 to 1."""
    t = np.linspace(0, 1, 4 * TABLE + 1)
    once, twice, thrice = 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    ordinates = np.interp(
        np.linspace(0, 1, TABLE + 1), once * x1 + twice * x2 + thrice, once * y1 + twice * y2 + thrice
    )
    return 1 - ordinates if falls else ordinates


@dataclass(frozen=True)
class LocalShuffling:
    """Voxels shuffled inside many small boxes; their values are read from the image as it was.

    All channels of a voxel move together. Where boxes overlap the later one is seen.

    Attributes:
        boxes: how many.
        side: longest side, as a share of the image's; a box is at least one voxel long.

    Examples:
        Boxes of one voxel change nothing:

        >>> image = torch.rand(1, 1, 8, 8)
        >>> torch.equal(LocalShuffling().apply(image, np.array([[5.0]])), image)
        True
    """

    boxes: int = 10_000
    side: float = 0.1
    probability: float = 0.5

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """A seed."""
        return generator.integers(2**53, size=1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        flat = images.flatten(2)
        places = np.stack([self._places(int(seed), images.shape[2:]) for seed in numbers[:, 0]])
        moved = on_device(places, images.device).unsqueeze(1).expand_as(flat)
        return flat.gather(2, moved).reshape(images.shape)

    def _places(self, seed: int, shape: Sequence[int]) -> np.ndarray:
        """Where each voxel's value comes from, as places in the flat image."""
        generator = np.random.Generator(np.random.Philox(key=seed))
        sizes = np.asarray(shape)
        longest = np.maximum((self.side * sizes).astype(int), 1)
        lengths = generator.integers(1, longest, size=(self.boxes, len(sizes)), endpoint=True)
        starts = generator.integers(0, sizes - lengths, endpoint=True)
        first = np.ravel_multi_index(tuple(starts.T), tuple(shape))
        targets, sources, owners = [], [], []
        shapes, of_box = np.unique(lengths, axis=0, return_inverse=True)
        by_shape = np.argsort(of_box.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(of_box.ravel()))
        for sides, boxes in zip(shapes, np.split(by_shape, ends[:-1]), strict=True):
            inside = np.ravel_multi_index(np.indices(sides).reshape(len(sides), -1), tuple(shape))
            own = first[boxes, None] + inside
            targets.append(own.ravel())
            sources.append(generator.permuted(own, axis=1).ravel())
            owners.append(np.repeat(boxes, own.shape[1]))
        in_order = np.argsort(np.concatenate(owners).astype(np.min_scalar_type(self.boxes)), kind="stable")
        places = np.arange(math.prod(shape))
        places[np.concatenate(targets)[in_order]] = np.concatenate(sources)[in_order]  # the last of equal ones stays
        return places


@dataclass(frozen=True)
class InPainting:
    """Boxes filled with noise, even between 0 and 1.

    Attributes:
        boxes: the most there are; each after the first is drawn with the chance `another`, or none any more.
        side: shortest and longest side, as shares of the image's.

    Examples:
        Of a line of four voxels two are painted:

        >>> line = torch.full((1, 1, 4), 7.0)
        >>> (InPainting(boxes=1).apply(line, np.array([[5, 1, 3]])) == 7).tolist()
        [[[True, False, False, True]]]
    """

    boxes: int = 5
    another: float = 0.95
    side: tuple[float, float] = (1 / 6, 1 / 3)
    probability: float = 1.0

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """A seed, then starts and ends of as many boxes as there may be, along each axis; those too many are empty."""
        sizes = np.asarray(shape[1:])
        low, high = (np.maximum((share * sizes).astype(int), 1) for share in self.side)
        lengths = generator.integers(low, high, size=(self.boxes, len(sizes)), endpoint=True)
        return _drawn_boxes(generator, sizes, lengths, self.another)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return torch.where(_boxes(images, numbers), _noise(images, numbers), images)


@dataclass(frozen=True)
class OutPainting:
    """Noise, even between 0 and 1, everywhere but in some windows.

    Attributes:
        windows: the most there are; each after the first is drawn with the chance `another`, or none any more.
        side: shortest and longest side, as shares of the image's.

    Examples:
        Of a line of four voxels two are kept:

        >>> line = torch.full((1, 1, 4), 7.0)
        >>> (OutPainting(windows=1).apply(line, np.array([[5, 1, 3]])) == 7).tolist()
        [[[False, True, True, False]]]
    """

    windows: int = 5
    another: float = 0.95
    side: tuple[float, float] = (3 / 7, 4 / 7)
    probability: float = 1.0

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """A seed, then starts and ends of as many windows as there may be; those too many are empty."""
        sizes = np.asarray(shape[1:])
        low, high = (np.maximum((share * sizes).astype(int), 1) for share in self.side)
        lengths = generator.integers(low, high, size=(self.windows, len(sizes)), endpoint=True)
        return _drawn_boxes(generator, sizes, lengths, self.another)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return torch.where(_boxes(images, numbers), images, _noise(images, numbers))


def restorable(
    shuffling: float = 0.5, non_linear: float = 0.9, painting: float = 0.9, inside: float = 0.2
) -> Intensity:
    """The changes of Models Genesis one after another, as published: shuffling, intensities, painting.

    Args:
        shuffling, non_linear, painting: their probabilities.
        inside: share of paintings that paint boxes; the others paint all around windows.

    Examples:
        >>> len(restorable().transforms)
        3
    """
    return Intensity(
        [
            LocalShuffling(probability=shuffling),
            NonLinearIntensity(probability=non_linear),
            OneOf(
                [InPainting(), OutPainting(), []],
                weights=[painting * inside, painting * (1 - inside), 1 - painting],
            ),
        ]
    )


def _drawn_boxes(generator: np.random.Generator, sizes: np.ndarray, lengths: np.ndarray, another: float) -> np.ndarray:
    margins = np.minimum(MARGIN, (sizes - lengths) // 2)
    starts = generator.integers(margins, sizes - lengths - margins, endpoint=True)
    goes_on = generator.random(len(lengths) - 1) < another
    lengths[1:][~np.logical_and.accumulate(goes_on)] = 0
    return np.concatenate([[generator.integers(2**53)], np.stack([starts, starts + lengths]).ravel()])


def _boxes(images: Tensor, numbers: np.ndarray) -> Tensor:
    """(B, 1, *S): whether a voxel lies in one of the boxes of its image."""
    marked = np.zeros((len(images), 1, *images.shape[2:]), bool)
    boxes = numbers[:, 1:].astype(int).reshape(len(images), 2, -1, images.ndim - 2)
    for image, (starts, ends) in zip(marked, boxes, strict=True):
        for start, end in zip(starts, ends, strict=True):
            image[(0, *map(slice, start, end))] = True
    return on_device(marked, images.device)


def _noise(images: Tensor, numbers: np.ndarray) -> Tensor:
    return hashed_uniforms(numbers[:, 0].astype(np.int64), images.shape[1:], images.device).to(images.dtype)
