"""Chains of augmentations: what is random is drawn as numbers on the host, and applied to batches on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mednoisy.data.batch import Drawn
from mednoisy.errors import UserError
from mednoisy.perturb.augmentation_protocols import IntensityChange, Symmetry, Warp
from mednoisy.perturb.host_values import on_device
from mednoisy.perturb.resampling import rearranged, regular_positions, sampled, within_borders


@dataclass(frozen=True)
class OneOf:
    """One of some options is drawn: an augmentation, or a list of them one after another; an empty list does nothing.

    Attributes:
        transforms: the options.
        weights: their chances, in any unit; alike where None.

    Examples:
        Three times in four the second:

        >>> OneOf([[], []], weights=[1, 3]).limits
        array([0.25, 1.  ])
    """

    transforms: Sequence[Any]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.transforms:
            raise ValueError("there is no option to choose; an empty list is one that does nothing")
        weights = self.weights
        if weights is not None and (len(weights) != len(self.transforms) or min(weights) < 0 or sum(weights) == 0):
            raise ValueError(f"weights are {weights}; {len(self.transforms)} options need one each, none below 0")

    @cached_property
    def limits(self) -> np.ndarray:
        """Upper end of each option's part of 0..1."""
        weights = np.ones(len(self.transforms)) if self.weights is None else np.asarray(self.weights, float)
        return np.cumsum(weights) / np.sum(weights)


def chosen(name: str, options: Mapping[str, Any]) -> Any:
    """The option of that name; where it is None, an empty list, which does nothing.

    Examples:
        >>> chosen("none", {"none": None}), chosen("two", {"none": None, "two": 2})
        ([], 2)
    """
    if name not in options:
        raise ValueError(f"there is no {name!r} here; choose from {', '.join(options)}")
    return [] if options[name] is None else options[name]


@dataclass(frozen=True)
class _Chain:
    """Augmentations one after another, lists and `OneOf` among them."""

    transforms: Sequence[Any]
    accepted: ClassVar[tuple[Any, ...]]
    purpose: ClassVar[str]

    def __post_init__(self) -> None:
        for each in self.augmentations:
            if not isinstance(each, self.accepted):
                raise UserError(
                    "E230",
                    f"{type(each).__module__}.{type(each).__qualname__} cannot stand among {self.purpose}",
                    "Take classes of mednoisy.perturb, or your own with the methods that"
                    " mednoisy.perturb.augmentation_protocols names; MONAI's random transforms draw and apply at once",
                )
            if not 0 <= each.probability <= 1:
                raise ValueError(f"the probability of {type(each).__qualname__} is {each.probability}, not in 0..1")

    @cached_property
    def augmentations(self) -> list[Any]:
        """All of them in order, options of all choices included."""
        return list(_flat(self.transforms))

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> Drawn:
        """What happens to one image of `shape` (C, *S)."""
        numbers: list[np.ndarray | None] = []
        _draw(self.transforms, generator, shape, numbers.append)
        return tuple(numbers)

    def check(self, shape: Sequence[int]) -> None:
        """Refuse images of a shape (C, *S) that one of the augmentations cannot change.

        Raises:
            UserError: E231, they have not the axes to turn or flip; E232, they are no pictures.
        """
        for each in self.augmentations:
            each.draw(np.random.default_rng(0), shape)

    def certain(self) -> Any:
        """The same chain in which everything but the options of choices happens each time."""
        return replace(self, transforms=_certain(self.transforms))


class Geometry(_Chain):
    """Changes of geometry, of images and labels alike.

    Neighbours in the chain are made one: turns and flips are one exact move of voxels, all others one interpolation,
    linear in images and to the nearest in labels, at the places that one after another would show. Where these lie
    outside, the border is repeated, or what the augmentation says is seen.

    Examples:
        A flip for certain, of an image and its label:

        >>> from mednoisy.perturb.geometry import Flip
        >>> chain = Geometry([Flip(axes=[0], probability=1)])
        >>> drawn = [chain.draw(np.random.default_rng(0), (1, 3))]
        >>> chain.apply(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[0, 0, 1]]), drawn)
        (tensor([[[3., 2., 1.]]]), tensor([[1, 0, 0]]))
    """

    accepted = (Symmetry, Warp)
    purpose = "changes of geometry (train#spatial)"

    @torch.no_grad()
    def apply(self, images: Tensor, labels: Tensor | None, drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor | None]:
        """Changed images (B, C, *S) and labels (B, *S); the inputs stay as they are.

        Args:
            labels: of any type, or None.
            drawn: of B images.
        """
        for exact, places in self._runs:
            if exact:
                images, labels = rearranged(images, labels, self._symmetries(drawn, places, images.ndim - 2))
                continue
            rows = [row for row, numbers in enumerate(drawn) if any(numbers[place] is not None for place in places)]
            if rows:
                change = partial(self._resampled, drawn=[drawn[row] for row in rows], places=places)
                images, labels = _with_changed(images, labels, rows, change)
        return images, labels

    @cached_property
    def _runs(self) -> list[tuple[bool, list[int]]]:
        """Places of neighbours that are made one, and whether they are turns and flips."""
        exact = [isinstance(each, Symmetry) for each in self.augmentations]
        return [(kind, list(places)) for kind, places in groupby(range(len(exact)), exact.__getitem__)]

    def _symmetries(self, drawn: Sequence[Drawn], places: Sequence[int], dimensions: int) -> np.ndarray:
        """(B, D, D): where some turns and flips, one after another, look."""
        symmetries = np.tile(np.eye(dimensions, dtype=np.int64), (len(drawn), 1, 1))
        for row, numbers in enumerate(drawn):
            for place in places:
                if (own := numbers[place]) is not None:
                    symmetries[row] = symmetries[row] @ self.augmentations[place].symmetry(own, dimensions)
        return symmetries

    def _resampled(
        self, images: Tensor, labels: Tensor | None, drawn: Sequence[Drawn], places: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        positions, seen, first = regular_positions(images.shape[2:], images.device), None, True
        for place in reversed(places):
            if all(numbers[place] is None for numbers in drawn):
                continue
            augmentation = self.augmentations[place]
            unchanged = augmentation.unchanged(images.shape[1:])
            numbers = np.stack([unchanged if (own := each[place]) is None else own for each in drawn])
            if not first:
                positions = within_borders(positions, images.shape[2:])
            positions, share = augmentation.warp(positions, numbers, images.shape)
            if share is not None:
                seen = share if seen is None else seen * share
            first = False
        return sampled(images, labels, positions, seen)


class Intensity(_Chain):
    """Changes of intensity, of images alone.

    Examples:
        One of two chains' changes, by a factor of 1 + U(-0.5, 0.5):

        >>> from mednoisy.perturb.intensity import ScaleIntensity
        >>> chain = Intensity([ScaleIntensity(change=0.5, probability=1)])
        >>> drawn = [chain.draw(np.random.default_rng(0), (1, 3))]
        >>> drawn[0][0].round(3), chain.apply(torch.ones(1, 1, 2), drawn)
        (array([0.77]), tensor([[[0.7698, 0.7698]]]))
    """

    accepted = (IntensityChange,)
    purpose = "changes of intensity (train#intensity)"

    @torch.no_grad()
    def apply(self, images: Tensor, drawn: Sequence[Drawn]) -> Tensor:
        """Changed images (B, C, *S); the inputs stay as they are.

        Args:
            drawn: of B images.
        """
        for place, augmentation in enumerate(self.augmentations):
            rows = [row for row, numbers in enumerate(drawn) if numbers[place] is not None]
            if rows:
                numbers = np.stack([own for each in drawn if (own := each[place]) is not None])
                images, _ = _with_changed(images, None, rows, partial(_applied, augmentation, numbers))
        return images


def _flat(part: Any) -> Iterator[Any]:
    if isinstance(part, OneOf):
        part = part.transforms
    if isinstance(part, list | tuple):
        for each in part:
            yield from _flat(each)
    else:
        yield part


def _draw(
    part: Any, generator: np.random.Generator, shape: Sequence[int], note: Callable[[np.ndarray | None], None]
) -> None:
    if isinstance(part, OneOf):
        option = int(np.searchsorted(part.limits, generator.random(), side="right"))
        for number, each in enumerate(part.transforms):
            if number == option:
                _draw(each, generator, shape, note)
            else:
                for _ in _flat(each):
                    note(None)
    elif isinstance(part, list | tuple):
        for each in part:
            _draw(each, generator, shape, note)
    else:
        happens = generator.random() < part.probability
        note(np.asarray(part.draw(generator, shape), dtype=np.float64) if happens else None)


def _certain(part: Any) -> Any:
    if isinstance(part, OneOf):
        return replace(part, transforms=_certain(part.transforms))
    if isinstance(part, list | tuple):
        return [_certain(each) for each in part]
    return replace(part, probability=1.0) if is_dataclass(part) and not isinstance(part, type) else part


def _applied(change: IntensityChange, numbers: np.ndarray, images: Tensor, labels: None) -> tuple[Tensor, None]:
    return change.apply(images, numbers), labels


def _with_changed(
    images: Tensor,
    labels: Tensor | None,
    rows: Sequence[int],
    change: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]],
) -> tuple[Tensor, Tensor | None]:
    """Images and labels with `rows` of both replaced by what `change` makes of them; others are not touched."""
    if len(rows) == len(images):
        return change(images, labels)
    where = on_device(np.asarray(rows), images.device)
    changed = change(images.index_select(0, where), None if labels is None else labels.index_select(0, where))
    images = images.index_copy(0, where, changed[0])
    if labels is not None and changed[1] is not None:
        labels = labels.index_copy(0, where, changed[1])
    return images, labels
