"""Surfaces of masks and the distances between them, exact and fast.

Two segmentations of one thing mostly share their surface or miss it by a voxel or two. So only surface voxels
that are not on the other surface are searched for, first by looking up neighbours in order of distance, all
open voxels at once. What lies further away is answered axis by axis, the square of a distance being a sum over
axes, or by a KD-tree over the other surface where this is cheaper: few points in a large box.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

NEIGHBOURS = {2: 80, 3: 514}  # by axes, how many are looked up at most: those within five voxels, if these are cubes
SAMPLE = 64  # open voxels that are searched first, to find out how far the search pays for all
ROWS, POINTS = 512, 4096  # treated at once by the search axis by axis, so that they stay in the processor's cache
FIRST_STEPS = 6  # along the middle axis, before the first look at what is settled

# Nanoseconds of processor time, measured: they decide which search answers, never what the answer is.
CHOICE = 2e5  # weighing the searches against each other
OFFSET, LOOKUP = 2000.0, 1.5  # one neighbour for all open voxels, and each of these
TREE_START, TREE_POINT, TREE_QUERY = 6e4, 200.0, 3500.0  # first call; one point while it is built; one query
AXES_START, AXES_VOXEL, AXES_POINT = 4e5, 2.0, 1000.0  # first call; one voxel of the box; one point
AXES_STEP = 1.0  # one voxel of a row, each step


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask that have a face neighbour outside it; beyond the array's border all is outside.

    Args:
        mask: bool, any number of axes.

    Returns:
        bool, same shape.
    """
    flat, shape = _framed(mask, (1,) * mask.ndim)
    return _flat_surface(flat, shape).reshape(shape)[(slice(1, -1),) * mask.ndim]


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every surface voxel to the other mask's nearest surface voxel, in both directions.

    Args:
        prediction, reference: bool, same shape, two or three axes.
        spacing: distance of neighbouring voxels along each axis, in mm.

    Returns:
        `prediction_to_reference` and `reference_to_prediction`, float64, in mm, one entry for each voxel of the
        surface they start from, in no particular order; both are empty if one of the masks is.

    Raises:
        ValueError: shapes or the number of spacings differ.
    """
    _check(prediction, reference, spacing)
    box = bounding_box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    if not prediction.any() or not reference.any():
        return np.empty(0), np.empty(0)
    shells = _shells(tuple(float(step) for step in spacing))
    prediction_surface, shape = _framed(prediction, shells.reach)
    prediction_surface = _flat_surface(prediction_surface, shape)
    reference_surface, _ = _framed(reference, shells.reach)
    reference_surface = _flat_surface(reference_surface, shape)
    return (
        _directed(prediction_surface, reference_surface, shape, shells),
        _directed(reference_surface, prediction_surface, shape, shells),
    )


def nearest_distances(start: np.ndarray, goal: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance of every true voxel of one array to the nearest true voxel of another.

    Args:
        start, goal: bool, same shape, two or three axes; `goal` holds a true voxel.
        spacing: distance of neighbouring voxels along each axis, in mm.

    Returns:
        float64, in mm, in the order of `np.flatnonzero(start)`.

    Raises:
        ValueError: shapes or the number of spacings differ, or `goal` is empty.
    """
    _check(start, goal, spacing)
    if not goal.any():
        raise ValueError("goal holds no true voxel")
    shells = _shells(tuple(float(step) for step in spacing))
    start_flat, shape = _framed(start, shells.reach)
    return _directed(start_flat, _framed(goal, shells.reach)[0], shape, shells)


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds all true voxels; slices of length 0 if there are none."""
    box: list[slice] = []
    part: np.ndarray = np.ascontiguousarray(mask)
    for _ in range(mask.ndim):
        occupied = np.flatnonzero(part.reshape(len(part), math.prod(part.shape[1:])).any(axis=1))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
        part = np.any(part[box[-1]], axis=0)  # further axes need no more than the shadow along this one
    return tuple(box)


class _Shells:
    """Offsets to the nearest neighbours in order of distance; `starts` marks where the distance changes."""

    def __init__(self, spacing: tuple[float, ...]):
        axes, voxel = len(spacing), math.prod(spacing)
        most = NEIGHBOURS[axes]
        ball = math.pi if axes == 2 else 4 / 3 * math.pi  # of radius 1
        limit = ((most + 1) * voxel / ball) ** (1 / axes)
        reach = [math.floor(limit / step) for step in spacing]  # this box holds the ball, so no neighbour is missed
        offsets = np.array(list(itertools.product(*(range(-far, far + 1) for far in reach))))
        distances = np.sqrt(((offsets * np.array(spacing)) ** 2).sum(axis=1))
        order = np.argsort(distances, kind="stable")
        order = order[(distances[order] <= limit) & (distances[order] > 0)][:most]
        self.spacing, self.offsets, self.distances = np.array(spacing), offsets[order], distances[order]
        farthest = np.abs(self.offsets).max(axis=0, initial=1)  # at least 1, the frame that a surface needs
        self.reach = tuple(int(far) for far in farthest)
        changes = np.flatnonzero(np.diff(self.distances) > 1e-12 * limit) + 1
        self.starts = np.concatenate([[0], changes, [len(order)]])


_shells = functools.lru_cache(maxsize=16)(_Shells)


def _check(one: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> None:
    if one.shape != other.shape:
        raise ValueError(f"the masks are {one.shape} and {other.shape}; they must be equal in shape")
    if len(spacing) != one.ndim:
        raise ValueError(f"spacing has {len(spacing)} entries, the masks have {one.ndim} axes")


def _framed(mask: np.ndarray, margin: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The mask in a frame of false voxels, flattened; with the framed shape."""
    shape = tuple(size + 2 * frame for size, frame in zip(mask.shape, margin, strict=True))
    framed = np.zeros(shape, dtype=bool)
    framed[tuple(slice(frame, frame + size) for size, frame in zip(mask.shape, margin, strict=True))] = mask
    return framed.reshape(-1), shape


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _flat_surface(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    inside = flat.copy()
    for stride in _strides(shape):  # thanks to the frame no shift brings a true voxel across a border
        inside[stride:] &= flat[:-stride]
        inside[:-stride] &= flat[stride:]
    return np.greater(flat, inside, out=inside)


def _directed(start: np.ndarray, goal: np.ndarray, shape: tuple[int, ...], shells: _Shells) -> np.ndarray:
    """Distance of each true voxel of `start` to the nearest of `goal`, both framed and flat."""
    voxels = np.flatnonzero(start)
    distances = np.zeros(voxels.size)
    pending = np.flatnonzero(~goal[voxels])  # the others lie on the other surface: distance 0
    open_voxels = voxels[pending]
    goals = int(np.count_nonzero(goal))
    jumps = shells.offsets @ np.array(_strides(shape))
    walked = _worthwhile_shells(open_voxels, goal, goals, jumps, shells)
    for first, last in itertools.pairwise(shells.starts[: walked + 1]):
        found = goal[open_voxels + jumps[first]]
        for jump in jumps[first + 1 : last]:
            found |= goal[open_voxels + jump]
        distances[pending[found]] = shells.distances[first]
        pending, open_voxels = pending[~found], open_voxels[~found]
    if pending.size:
        points = np.stack(np.unravel_index(open_voxels, shape), axis=1) - shells.reach
        inner = tuple(slice(frame, size - frame) for frame, size in zip(shells.reach, shape, strict=True))
        goal_box = goal.reshape(shape)[inner]
        by_tree, by_axes = _far_costs(pending.size, goals, goal.size)
        search = _by_tree if by_tree < by_axes or _apart(points, goal_box) else _by_axes
        distances[pending] = search(points, goal_box, shells.spacing)
    return distances


def _worthwhile_shells(
    open_voxels: np.ndarray, goal: np.ndarray, goals: int, jumps: np.ndarray, shells: _Shells
) -> int:
    """How many shells to walk so that looking up and then searching far takes least time.

    Only the time depends on it: a sample of the open voxels is searched through all shells, which tells how many
    would be open after each, and so what each choice would cost.
    """
    if not open_voxels.size or min(_far_costs(open_voxels.size, goals, goal.size)) < CHOICE:
        return 0
    sample = open_voxels[:: max(1, open_voxels.size // SAMPLE)]
    found = goal[sample[:, None] + jumps]
    nearest = np.where(found.any(axis=1), found.argmax(axis=1), jumps.size)
    still_open = np.array([np.count_nonzero(nearest >= start) for start in shells.starts]) / sample.size
    looked_up = np.concatenate([[0], np.cumsum(still_open[:-1] * np.diff(shells.starts))])
    far = [min(_far_costs(share * open_voxels.size, goals, goal.size)) if share else 0.0 for share in still_open]
    return int(np.argmin(looked_up * open_voxels.size * LOOKUP + shells.starts * OFFSET + far))


def _far_costs(queries: float, goals: int, box: int) -> tuple[float, float]:
    """About how many nanoseconds so many queries take by the tree and by axes, in a box of so many voxels."""
    by_tree = TREE_START + goals * TREE_POINT + queries * TREE_QUERY
    return by_tree, AXES_START + box * AXES_VOXEL + queries * AXES_POINT


def _apart(points: np.ndarray, goal: np.ndarray) -> bool:
    """Whether the boxes around both do not overlap; a tree is fast then, as few of its branches face the points."""
    return any(
        along.max() < part.start or along.min() >= part.stop
        for along, part in zip(points.T, bounding_box(goal), strict=True)
    )


def _by_tree(points: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance of each point, given by its voxel (N, axes), to the nearest true voxel."""
    goals = np.stack(np.unravel_index(np.flatnonzero(goal), goal.shape), axis=1)  # far faster than argwhere
    return KDTree(goals * spacing, balanced_tree=False, compact_nodes=False).query(points * spacing)[0]


def _by_axes(points: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance of each point, given by its voxel (N, axes), to the nearest true voxel.

    The least sum of squares over three axes is found along the first axis for all voxels, along the middle one for
    the rows that hold a point, along the last one for the points. Points come row by row; squares are counted in
    steps of the first axis, which on a grid with equal spacings makes them whole numbers, exact in float32. Points
    that are still open when the tree would have been as fast are left to it.
    """
    if points.shape[1] == 2:
        points, goal, spacing = np.insert(points, 1, 0, axis=1), goal[:, None], np.insert(spacing, 1, spacing[0])
    weights = (spacing / spacing[0]) ** 2
    whole = (weights == 1).all() and sum(size**2 for size in goal.shape) < 2**24
    weights = weights.astype(np.float32 if whole else np.float64)
    squares = _squared_steps(goal)
    rows, starts = np.unique(points[:, 0] * goal.shape[1] + points[:, 1], return_index=True)
    bounds = np.append(starts, len(points))
    limit = int(len(points) * TREE_QUERY / (rows.size * 2 * goal.shape[2] * AXES_STEP))
    most = min(POINTS, len(squares) * squares.shape[1] // 8)  # so that what is added stays near 1 byte a voxel
    found, first = [], 0
    while first < rows.size:
        full = int(np.searchsorted(bounds, bounds[first] + most, side="right")) - 1
        chunk = slice(first, min(first + ROWS, max(full, first + 1)))
        row = np.repeat(np.arange(chunk.stop - first), np.diff(bounds[first : chunk.stop + 1]))
        first, place = chunk.stop, points[bounds[first] : bounds[chunk.stop], 2]
        found.append(_by_rows(squares, rows[chunk], row, place, weights, limit))
    distances = np.sqrt(np.concatenate(found), dtype=np.float64) * spacing[0]
    left = np.isinf(distances)
    if left.any():
        distances[left] = _by_tree(points[left], goal, spacing)
    return distances


def _squared_steps(goal: np.ndarray) -> np.ndarray:
    """Squared number of steps along the first axis to the nearest true voxel, exact; infinite if there is none."""
    number = np.float32 if len(goal) <= 4096 else np.float64
    steps = np.where(goal, number(0), number(np.inf))
    further = np.empty_like(steps[0])
    for order in (steps, steps[::-1]):
        for before, plane in itertools.pairwise(order):
            np.add(before, 1, out=further)
            np.minimum(plane, further, out=plane)
    return np.square(steps, out=steps)


def _by_rows(
    squares: np.ndarray, rows: np.ndarray, row: np.ndarray, place: np.ndarray, weights: np.ndarray, limit: int
) -> np.ndarray:
    """Least square of the points that lie in these rows: point i in `rows[row[i]]`, at `place[i]`.

    Steps beyond the border stop at it: they overestimate a square that was seen before. Squares of up to
    (n + 1)**2 are final after n steps along the middle axis; those that are not at the limit come out infinite.
    """
    _, middle, last = squares.shape
    squares = squares.reshape(-1, last)
    plane, line = rows - rows % middle, rows % middle
    along = np.square(np.arange(1 - last, last), dtype=weights.dtype) * weights[2]
    windows = np.lib.stride_tricks.sliding_window_view(along, last)  # entry last - 1 - p: squares around place p
    found, waiting = np.empty(row.size, weights.dtype), np.arange(row.size)
    lowest, reached, goal = squares[rows].astype(weights.dtype), 0, FIRST_STEPS
    while True:
        taken, candidate = np.empty(lowest.shape, squares.dtype), np.empty_like(lowest)
        for step in range(reached + 1, min(goal, middle - 1) + 1):
            for neighbour in (np.maximum(line - step, 0), np.minimum(line + step, middle - 1)):
                squares.take(plane + neighbour, 0, taken, "clip")
                np.add(taken, step**2 * weights[1], out=candidate)
                np.minimum(lowest, candidate, out=lowest)
        reached = goal
        totals = windows[last - 1 - place]
        totals += lowest[row]
        found[waiting] = totals.min(axis=1)
        is_open = (found[waiting] > (reached + 1) ** 2 * weights[1]) & (reached < middle - 1)
        waiting, row, place = waiting[is_open], row[is_open], place[is_open]
        if reached >= limit:
            found[waiting] = np.inf
        if reached >= limit or not waiting.size:
            return found
        kept = np.bincount(row, minlength=len(lowest)) > 0
        plane, line, lowest, row = plane[kept], line[kept], lowest[kept], (np.cumsum(kept) - 1)[row]
        enough = math.sqrt(found[waiting].mean() / weights[1])  # for about half of what waits, at the latest
        goal = int(min(max(enough, reached + 2), 2 * reached, max(limit, reached + 1)))
