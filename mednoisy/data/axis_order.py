"""In which order and sense a volume's axes are stored, and how they become those of an orientation. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

ENDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}  # axis of RAS, and its sense
ROUNDED = 6  # digits of the cosines that are compared: those of one scan differ by less, however it is stored
COARSER = 1.1  # than the next coarsest: by so much voxels must be longer along an axis for slices to lie along it


@dataclass(frozen=True)
class AxisOrder:
    """How a stored volume is turned.

    Attributes:
        axes: for each axis of the turned volume, the stored one that it is.
        reversed: for each axis of the turned volume, whether it runs against the stored one.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    reversed: tuple[bool, ...] = (False, False, False)

    @property
    def unchanged(self) -> bool:
        """Whether the turned volume is the stored one."""
        return self == AxisOrder()

    @property
    def back(self) -> tuple[int, ...]:
        """For each stored axis, the one of the turned volume that it is."""
        return tuple(self.axes.index(axis) for axis in range(len(self.axes)))

    def with_last(self, last: int) -> AxisOrder:
        """The same turn with one axis of the turned volume behind the others, which keep their order."""
        order = [axis for axis in range(len(self.axes)) if axis != last] + [last]
        return AxisOrder(tuple(self.axes[axis] for axis in order), tuple(self.reversed[axis] for axis in order))

    def affine(self, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The affine (4, 4) of the turned volume, from that of the stored one and its spatial shape."""
        turned = np.array(affine, dtype=np.float64)
        turned[:, :3] = affine[:, list(self.axes)]
        for new, (axis, against) in enumerate(zip(self.axes, self.reversed, strict=True)):
            if against:
                turned[:, new] = -affine[:, axis]
                turned[:, 3] += affine[:, axis] * (shape[axis] - 1)
        return turned


def order_towards(affine: np.ndarray, orientation: str) -> AxisOrder:
    """How a volume with `affine` (4, 4), to RAS millimetres, is turned so that its axes run as nearly as can be towards
    the ends that `orientation` names, such as RAS: right, front and top.

    It is the order in which the cosines between axes and the body's add up to most: of axes that are not oblique, the
    one that nibabel's `as_closest_canonical` finds. Where two orders are level (a volume turned by exactly 45 degrees),
    the directions of the axes decide, so that one scan is turned alike however it is stored.

    Raises:
        ValueError: `orientation` does not name one end of each of the body's three axes.
    """
    ends = ends_of(orientation)
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.round(np.stack([columns[axis] * sense for axis, sense in ends]), ROUNDED)  # (end, stored axis)

    def rank(axes: Sequence[int]) -> tuple[float, ...]:
        chosen = cosines[:, list(axes)]
        senses = np.where(np.diag(chosen) < 0, -1, 1)
        return (round(float(np.abs(np.diag(chosen)).sum()), ROUNDED - 1), *(chosen * senses + 0.0).T.ravel().tolist())

    axes = max(permutations(range(3)), key=rank)
    return AxisOrder(axes, tuple(bool(cosines[end, axis] < 0) for end, axis in enumerate(axes)))


def ends_of(orientation: str) -> list[tuple[int, int]]:
    """Axis of RAS and sense of each letter.

    Raises:
        ValueError: as `order_towards`.
    """
    ends = [ENDS[letter] for letter in str(orientation) if letter in ENDS]
    if len(ends) != len(str(orientation)) or sorted(axis for axis, _ in ends) != [0, 1, 2]:
        raise ValueError(f"orientation is {orientation!r}; it must be one each of R or L, A or P, S or I, such as RAS")
    return ends


def coarsest_axis(spacing: Sequence[float]) -> int | None:
    """The axis along which voxels are longest, by a tenth at least; None where none is."""
    next_coarsest, coarsest = np.sort(np.asarray(spacing))[-2:]
    return int(np.argmax(spacing)) if coarsest >= COARSER * next_coarsest else None
