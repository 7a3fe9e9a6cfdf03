"""Distances to far voxels of a mask, exact: axis by axis, as the square of a distance is a sum over axes, or by a tree.

Axis by axis takes time for every voxel of the box, a tree for every true one, so a tree is for few in a large box.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from scipy.spatial import KDTree

from mednoisy.evaluation.bounding_boxes import bounding_box

ROWS, POINTS = 512, 4096  # treated at once by the search axis by axis, so that they stay in the processor's cache
ENTRIES, ENTRIES_LIMIT = 2**16, 16  # of the table, at once: so many, or this part of the box, if more
COLUMNS = 2**15  # whose steps along the first axis are counted at once
FIRST_STEPS = 6  # along the middle axis, before the first look at what is settled
LONGEST = 4096  # squares of more steps are not exact in float32
TREE_LIMIT, TREE_SMALL = 8, 15_000  # voxels in a tree, 32 bytes each: this part of the box, or so many, if more
PAIRS = 4096  # of points and true voxels, up to which each is looked at
PLACES = 2**17  # voxels looked through at once for those that go into a tree

# Nanoseconds of processor time, measured: they decide which search answers, never what the answer is.
TREE_START, TREE_POINT, TREE_QUERY = 6e4, 200.0, 3500.0  # first call; one point while it is built; one query
AXES_START, AXES_VOXEL, AXES_POINT = 4e5, 2.0, 1000.0  # first call; one voxel of the box; one point
AXES_STEP = 1.0  # one voxel of a row, each step
SIDE_START, SIDE_VOXEL = 1e5, 0.5  # finding out whether a smaller tree is enough: each time; one voxel of the box

Side = tuple[int, bool]  # an axis, and whether it is the end of the box along it that faces the points


def search_times_ns(queries: float, goal_count: int, box_size: int) -> tuple[float, float]:
    """About how long so many queries take by the tree and by axes, in a box of so many voxels."""
    by_axes = AXES_START + box_size * AXES_VOXEL + queries * AXES_POINT
    by_tree = TREE_START + goal_count * TREE_POINT + queries * TREE_QUERY
    return by_tree if _fits(goal_count, box_size) else math.inf, by_axes


def _fits(goal_count: int, box_size: int) -> bool:
    """Whether a tree over so many voxels takes no more memory than the search by axes."""
    return goal_count <= max(TREE_SMALL, box_size // TREE_LIMIT)


class FarVoxelSearch:
    """Distances of points to the nearest true voxel of `goal`; what a search prepares is kept for further points.

    Points are given by their voxels, whole numbers (N, axes) in C order.

    Args:
        goal: bool, two or three axes, with `goal_count` true voxels, at least one.
        spacing: distance of neighbouring voxels along each axis, in mm.
    """

    def __init__(self, goal: np.ndarray, goal_count: int, spacing: np.ndarray):
        self.goal, self.goal_count, self.spacing = goal, goal_count, spacing
        self._trees: dict[Side | None, KDTree] = {}
        self._counted: dict[int, int] = {}

    def distances(self, points: np.ndarray, expected: float) -> np.ndarray:
        """By the search that takes least time for as many points as are expected, these included."""
        if expected * self.goal_count <= PAIRS:
            return self.by_pairs(points)
        by_tree, by_axes = search_times_ns(expected, self.goal_count, self.goal.size)
        side_time = SIDE_START + self.goal.size * SIDE_VOXEL
        side = self._facing_side(points) if by_axes <= by_tree or self.goal_count * TREE_POINT > side_time else None
        if side is not None and self._fit_lines(side[0]):
            return self.by_tree(points, side)
        is_tree_best = by_tree < by_axes or (side is not None and by_tree < math.inf)
        return self.by_tree(points) if is_tree_best else self.by_axes(points)

    def by_pairs(self, points: np.ndarray) -> np.ndarray:
        """By every pair of a point and a true voxel: of a tiny mask, before a tree is built."""
        places = np.stack(np.unravel_index(np.flatnonzero(self.goal), self.goal.shape), axis=1)
        gaps = (points[:, None] - places) * self.spacing
        return np.sqrt(np.square(gaps, out=gaps).sum(axis=2).min(axis=1))

    def by_tree(self, points: np.ndarray, side: Side | None = None) -> np.ndarray:
        """By a tree over all true voxels, or over those seen from a side on which all points lie."""
        if side not in self._trees:
            self._trees[side] = self._tree(side)
        return self._trees[side].query(points * self.spacing)[0]

    def by_axes(self, points: np.ndarray) -> np.ndarray:
        """Axis by axis: the least sum of squares over three of them.

        It is found along the first axis for all voxels, along the middle one for the rows that hold a point, along
        the last one for the points. Squares are counted in steps of the first axis, which on a grid with equal
        spacings makes them whole numbers, exact in float32. Points that are still open when the tree would have been
        as fast are left to it.
        """
        table, weights = self._table, self._weights
        middle, last = table.shape[1:]
        numbers = points[:, 0] * middle + (points[:, 1] if points.shape[1] == 3 else 0)
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        rows, row = numbers[starts], np.repeat(np.arange(starts.size), np.diff(starts, append=len(points)))
        limit = middle
        if _fits(3 * self.goal_count, table.size):  # as the table is kept beside the tree
            limit = int(len(points) * TREE_QUERY / (rows.size * 2 * last * AXES_STEP))
        most = max(1, min(max(ENTRIES, table.size // ENTRIES_LIMIT) // last, ROWS))
        squares, first = [], 0
        while first < len(points):
            stop = min(first + POINTS, int(np.searchsorted(row, row[first] + most)))
            of_rows, among = rows[row[first] : row[stop - 1] + 1], row[first:stop] - row[first]
            squares.append(_by_rows(table, of_rows, among, points[first:stop, -1], weights, limit, most))
            first = stop
        distances = np.sqrt(np.concatenate(squares), dtype=np.float64) * self.spacing[0]
        left = np.isinf(distances)
        if left.any():
            distances[left] = self.by_tree(points[left])
        return distances

    def _facing_side(self, points: np.ndarray) -> Side | None:
        """The side of the box around the true voxels beyond which all points lie, if there is one.

        A tree is fast then, as few of its branches face the points.
        """
        for axis, (along, part) in enumerate(zip(points.T, self._box, strict=True)):
            if along.max() < part.start or along.min() >= part.stop:
                return axis, bool(along.min() >= part.stop)
        return None

    def _fit_lines(self, axis: int) -> bool:
        """Whether a tree over a voxel of each line along the axis fits, and is much smaller than that over all."""
        return _fits(self._lines(axis), self.goal.size) and 2 * self._lines(axis) < self.goal_count

    def _lines(self, axis: int) -> int:
        """How many lines along an axis hold a true voxel."""
        if axis not in self._counted:
            self._counted[axis] = int(np.count_nonzero(self.goal[self._box].any(axis=axis)))
        return self._counted[axis]

    def _tree(self, side: Side | None) -> KDTree:
        if side is None:
            goal, goal_count, origin = self.goal, self.goal_count, [0] * self.goal.ndim
        else:
            goal, goal_count = _seen(self.goal[self._box], *side), self._lines(side[0])
            origin = [part.start for part in self._box]
        places, filled = np.empty((goal_count, goal.ndim)), 0
        planes = len(goal) if goal_count <= TREE_SMALL else max(1, PLACES // goal[0].size)
        for first in range(0, len(goal), planes):
            part = goal[first : first + planes]
            voxels = np.unravel_index(np.flatnonzero(part), part.shape)  # far faster than argwhere
            part_of_places = slice(filled, filled + voxels[0].size)
            for axis, along in enumerate(voxels):
                along += origin[axis] + (first if axis == 0 else 0)
                np.multiply(along, self.spacing[axis], out=places[part_of_places, axis])
            filled = part_of_places.stop
        return KDTree(places, balanced_tree=False, compact_nodes=False)

    @functools.cached_property
    def _box(self) -> tuple[slice, ...]:
        return bounding_box(self.goal)

    @functools.cached_property
    def _weights(self) -> np.ndarray:
        """Square of a step along each of three axes, in steps of the first one."""
        weights = (self.spacing / self.spacing[0]) ** 2
        whole = (weights == 1).all() and sum(size**2 for size in self.goal.shape) < 2**24
        weights = weights.astype(np.float32 if whole else np.float64)
        return weights if weights.size == 3 else np.insert(weights, 1, 1)

    @functools.cached_property
    def _table(self) -> np.ndarray:
        return _table_of_steps(self.goal if self.goal.ndim == 3 else self.goal[:, None])


def _seen(goal: np.ndarray, axis: int, from_end: bool) -> np.ndarray:
    """The true voxels that come first along the axis: the nearest ones to all that lies beyond this side are there."""
    along = np.flip(goal, axis) if from_end else goal
    seen = np.zeros_like(along)
    np.put_along_axis(seen, along.argmax(axis=axis, keepdims=True), along.any(axis=axis, keepdims=True), axis)
    return np.flip(seen, axis) if from_end else seen


def _table_of_steps(goal: np.ndarray) -> np.ndarray:
    """Number of steps along the first axis to the nearest true voxel, infinite if there is none, in float32.

    Squared, if all squares are exact: up to `LONGEST` steps.
    """
    steps = np.where(goal, np.float32(0), np.float32(np.inf))
    columns = steps.reshape(len(goal), -1)
    for first in range(0, columns.shape[1], COLUMNS):
        part = columns[:, first : first + COLUMNS]
        further = np.empty_like(part[0])
        for order in (part, part[::-1]):
            for before, plane in itertools.pairwise(order):
                np.add(before, 1, out=further)
                np.minimum(plane, further, out=plane)
    return np.square(steps, out=steps) if len(goal) <= LONGEST else steps


def _by_rows(
    table: np.ndarray,
    rows: np.ndarray,
    row: np.ndarray,
    place: np.ndarray,
    weights: np.ndarray,
    limit: int,
    most: int,
) -> np.ndarray:
    """Least square of the points that lie in these rows: point i in `rows[row[i]]`, at `place[i]`; so many at once.

    Steps beyond the border stop at it: they overestimate a square that was seen before. Squares of up to
    (n + 1)**2 are final after n steps along the middle axis; those that are not at the limit come out infinite.
    """
    length, middle, last = table.shape
    table = table.reshape(-1, last)
    squares = np.asarray if length <= LONGEST else functools.partial(np.square, dtype=np.float64)
    plane, line = rows - rows % middle, rows % middle
    along = np.square(np.arange(1 - last, last), dtype=weights.dtype) * weights[2]
    windows = np.lib.stride_tricks.sliding_window_view(along, last)  # entry last - 1 - p: squares around place p
    least, waiting = np.empty(row.size, weights.dtype), np.arange(row.size)
    lowest, reached, target = squares(table[rows]).astype(weights.dtype), 0, FIRST_STEPS
    while True:
        taken, candidate = np.empty(lowest.shape, table.dtype), np.empty_like(lowest)
        for step in range(reached + 1, min(target, middle - 1) + 1):
            for neighbour in (np.maximum(line - step, 0), np.minimum(line + step, middle - 1)):
                table.take(plane + neighbour, 0, taken, "clip")
                # numpy 1 would add in the 32 bits of the table: its rules do not count a scalar's precision
                np.add(squares(taken), step**2 * weights[1], out=candidate, dtype=candidate.dtype)
                np.minimum(lowest, candidate, out=lowest)
        reached = target
        for first in range(0, waiting.size, most):
            part = slice(first, first + most)
            totals = windows[last - 1 - place[part]]
            totals += lowest[row[part]]
            least[waiting[part]] = totals.min(axis=1)
        is_open = (least[waiting] > (reached + 1) ** 2 * weights[1]) & (reached < middle - 1)
        waiting, row, place = waiting[is_open], row[is_open], place[is_open]
        if reached >= limit:
            least[waiting] = np.inf
        if reached >= limit or not waiting.size:
            return least
        kept = np.bincount(row, minlength=len(lowest)) > 0
        plane, line, lowest, row = plane[kept], line[kept], lowest[kept], (np.cumsum(kept) - 1)[row]
        enough = math.sqrt(least[waiting].mean() / weights[1])  # for about half of what waits, at the latest
        target = int(min(max(enough, reached + 2), 2 * reached, max(limit, reached + 1)))
