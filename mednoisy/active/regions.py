"""Slices and boxes of cases: where they lie on the grids of the cases' files, and which may be chosen together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mednoisy.data.axis_order import AxisOrder, coarsest_axis, order_towards
from mednoisy.errors import UserError

PLURALS = {"case": "cases", "slice": "slices", "box": "boxes"}
UNITS = (*PLURALS,)
AXES = 3  # pictures are volumes of one slice here
STEP = 4  # boxes that are looked at lie a quarter of their side apart
MOST_OF_CASE = 10_000  # boxes that are looked at in a case: above, they lie further apart
APART_SLICES, APART_MM = 2, 5.0  # between slices of a batch, at least


@dataclass(frozen=True)
class Grid:
    """Of a case's file, as it is stored.

    Attributes:
        shape: spatial, two or three axes.
        affine: (4, 4), to RAS millimetres.
        located, oriented: as of `data.image.Image`.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    located: bool
    oriented: bool

    @property
    def spacing(self) -> list[float]:
        """Millimetres from voxel to voxel along each axis."""
        return [float(step) for step in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0)]

    @property
    def order(self) -> AxisOrder:
        """How the axes are turned to the patient's right, front and top; as stored where the file does not say."""
        axes = len(self.shape)
        if axes == AXES and self.oriented:
            return order_towards(self.affine, "RAS")
        return AxisOrder(tuple(range(axes)), (False,) * axes)


@dataclass(frozen=True)
class Regions:
    """Slices or boxes, a row each, in voxels of their cases' files and in the order of the axes of these.

    Attributes:
        case: (N,), numbers of their cases.
        start, stop: (N, 3), from the first voxel to the one behind the last; 0 and 1 along the axis a picture lacks.
        margin: (N, 3), voxels around a region in which no other one of a batch may lie.
        axes: (N,), how many the case has, 2 or 3.
        axis: (N,), the axis that a slice is cut along; -1 for boxes.
    """

    case: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    margin: np.ndarray
    axes: np.ndarray
    axis: np.ndarray

    def __len__(self) -> int:
        return len(self.case)

    def __getitem__(self, rows: np.ndarray) -> Regions:
        return Regions(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def corners(self, row: int) -> tuple[list[int], list[int]]:
        """First voxel and the one behind the last, along the axes of the file."""
        axes = int(self.axes[row])
        return self.start[row, :axes].tolist(), self.stop[row, :axes].tolist()

    def words(self, row: int) -> str:
        """Where it lies, for a reader."""
        start, stop = self.corners(row)
        if (axis := int(self.axis[row])) >= 0:
            return f"slice {start[axis]} of axis {axis}"
        return "box " + ",".join(f"{first}:{last}" for first, last in zip(start, stop, strict=True))

    @classmethod
    def joined(cls, parts: Sequence[Regions]) -> Regions:
        """All of several cases, numbered as these are given."""
        rows = {name: [getattr(part, name) for part in parts] for name in cls.__dataclass_fields__}
        rows["case"] = [np.full(len(part), number) for number, part in enumerate(parts)]
        return cls(**{name: np.concatenate(values) for name, values in rows.items()})


def slices_of(grid: Grid, along: int | None = None) -> Regions:
    """The slices of a volume, from the patient's left, back or bottom on, however it is stored.

    Args:
        along: axis, once they point right, front and up, that slices are cut along; None for that of the coarsest
            voxels and, where none is, from bottom to top (the last axis of a file that does not say where that is).

    Raises:
        UserError: E527, a picture.
    """
    if len(grid.shape) != AXES:
        cause = f"--unit slice asks volumes, and there is a picture of {_by(grid.shape)} pixels"
        raise UserError("E527", cause, "Take --unit case, or --unit box with --box ROWS COLUMNS")
    order = grid.order
    coarsest = coarsest_axis([grid.spacing[axis] for axis in order.axes]) if grid.located else None
    turned = along if along is not None else AXES - 1 if coarsest is None else coarsest
    axis = order.axes[turned]
    count = grid.shape[axis]
    numbers = np.arange(count)[::-1] if order.reversed[turned] else np.arange(count)
    start, stop = np.zeros((count, AXES), int), np.tile(grid.shape, (count, 1))
    start[:, axis], stop[:, axis] = numbers, numbers + 1
    apart = APART_SLICES
    if grid.located:
        apart = max(apart, math.ceil(APART_MM / grid.spacing[axis]))
    margin = np.zeros((count, AXES), int)
    margin[:, axis] = apart - 1
    return Regions(np.zeros(count, int), start, stop, margin, np.full(count, AXES), np.full(count, axis))


def boxes_of(grid: Grid, sides: Sequence[int]) -> Regions:
    """Boxes all over an image, a quarter of their side apart and at its ends, in the order that `slices_of` has.

    Args:
        sides: voxels along the axes that run nearest to right, front and top; of a picture, or of a file that does not
            say where these are, along its axes as stored. A box ends where the image does.

    Raises:
        UserError: E527, as many sides as the image has axes are not given.
    """
    axes = len(grid.shape)
    if len(sides) != axes:
        cause = f"--box has {len(sides)} numbers, and there is an image of {_by(grid.shape)}"
        raise UserError("E527", cause, "Give --box a number of voxels for each axis, right, front and top of volumes")
    order = grid.order
    shape = [grid.shape[axis] for axis in order.axes]
    sides = [min(side, size) for side, size in zip(sides, shape, strict=True)]
    steps = [max(side // STEP, 1) for side in sides]
    while math.prod(len(_places(*each)) for each in zip(shape, sides, steps, strict=True)) > MOST_OF_CASE:
        steps = [2 * step for step in steps]
    corners = np.array([*itertools.product(*(_places(*each) for each in zip(shape, sides, steps, strict=True)))])
    start, stop = np.zeros((len(corners), AXES), int), np.ones((len(corners), AXES), int)
    for turned, (axis, against) in enumerate(zip(order.axes, order.reversed, strict=True)):
        first = corners[:, turned]
        start[:, axis] = shape[turned] - sides[turned] - first if against else first
        stop[:, axis] = start[:, axis] + sides[turned]
    nothing = np.zeros(len(corners), int)
    return Regions(nothing, start, stop, np.zeros_like(start), nothing + axes, nothing - 1)


def sums_in(values: np.ndarray, regions: Regions) -> np.ndarray:
    """(N,), float64: the sum of an image (*spatial) over each region of it, by its table of cumulative sums."""
    table = np.asarray(values, np.float64).reshape(*values.shape, *(1,) * (AXES - values.ndim))
    for axis in range(AXES):
        table = table.cumsum(axis=axis)
    table = np.pad(table, ((1, 0),) * AXES)
    total = np.zeros(len(regions))
    for ends in itertools.product((0, 1), repeat=AXES):
        places = [np.where(end, regions.stop[:, axis], regions.start[:, axis]) for axis, end in enumerate(ends)]
        total += (-1) ** (AXES - sum(ends)) * table[tuple(places)]
    return total


def apart(regions: Regions) -> Regions:
    """Of one case's regions, one after another, those that meet none taken before."""
    taken: list[int] = []
    open_to = np.ones(len(regions), bool)
    while open_to.any():
        row = int(open_to.argmax())
        taken.append(row)
        meet = (regions.start < regions.stop[row]).all(axis=1) & (regions.stop > regions.start[row]).all(axis=1)
        open_to &= ~meet
    return regions[np.array(taken, int)]


def inside(shape: Sequence[int], corners: Sequence[tuple[Sequence[int], Sequence[int]]]) -> np.ndarray:
    """(*shape), bool: the voxels of regions, each given by its first voxel and the one behind its last.

    Args:
        shape: of the file, which may have axes of length one that the regions lack.
    """
    mask = np.zeros(shape, bool)
    for start, stop in corners:
        seen = mask if len(start) == len(shape) else mask.reshape([size for size in shape if size > 1])
        seen[tuple(slice(first, last) for first, last in zip(start, stop, strict=True))] = True
    return mask


class Clashes:
    """Which regions a batch can still take, none of them near a chosen one, and of no patient more than `most`.

    Args:
        regions: of the pool.
        patients: of each region.
        most: of a patient; None for any number.
        near: whether regions may lie in one another, or beside one another.
    """

    def __init__(self, regions: Regions, patients: np.ndarray, most: int | None, *, near: bool):
        self.regions, self.patients, self.most, self.near = regions, patients, most, near
        self.open = np.ones(len(regions), bool)
        self._taken: dict[int, int] = {}

    def take(self, row: int) -> None:
        """Close the pool for what does not go with a chosen region."""
        self.open[row] = False
        if not self.near:
            low, high = (self.regions.start - self.regions.margin)[row], (self.regions.stop + self.regions.margin)[row]
            meet = (self.regions.start < high).all(axis=1) & (self.regions.stop > low).all(axis=1)
            self.open &= ~(meet & (self.regions.case == self.regions.case[row]))
        patient = int(self.patients[row])
        self._taken[patient] = self._taken.get(patient, 0) + 1
        if self.most is not None and self._taken[patient] >= self.most:
            self.open &= self.patients != patient


def even_share(budget: int, patients: int) -> int:
    """How many regions of a patient a batch takes unless asked: twice the even share, so one of many patients."""
    return max(math.ceil(2 * budget / max(patients, 1)), 1)


def _places(size: int, side: int, step: int) -> list[int]:
    """First voxels along an axis."""
    return sorted({*range(0, size - side + 1, step), size - side})


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
