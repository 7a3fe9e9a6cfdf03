"""Surfaces of masks and the distances between them, exact, fast and in little memory.

Two segmentations of one thing mostly share their surface or miss it by a voxel or two. So only surface voxels
that are not on the other surface are searched for, first by looking up neighbours in order of distance, a block of
voxels at a time. What lies further away is answered axis by axis, or by a KD-tree where this is cheaper.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mednoisy.evaluation.bounding_boxes import bounding_box
from mednoisy.evaluation.distance_search import FarVoxelSearch, search_times_ns
from mednoisy.evaluation.neighbour_offsets import NeighbourOffsets, nearest_offsets

SAMPLE = 64  # open voxels that are searched first, to find out how far the search pays for all
BLOCK, BLOCK_LIMIT = 2**15, 128  # voxels searched at once: about so many, or this part of the box, if more

# Nanoseconds of processor time, measured: they decide how far is looked up, never what the answer is.
CHOICE = 2e5  # weighing the searches against each other
OFFSET, LOOKUP = 2000.0, 1.5  # one neighbour for all open voxels, and each of these


class DirectedDistances(NamedTuple):
    """Distances of the voxels of one surface to the nearest voxel of another, searched for while they are read.

    Attributes:
        shared: how many voxels lie on both surfaces; their distance is 0.
        apart: how many do not.
        blocks: float64, above 0, in mm, of the voxels apart, some at a time, in C order; to be read once.
    """

    shared: int
    apart: int
    blocks: Iterator[np.ndarray]


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask that have a face neighbour outside it; beyond the array's border all is outside.

    Args:
        mask: bool, any number of axes.

    Returns:
        bool, same shape.

    Examples:
        >>> surface(np.ones((3, 3), bool)).astype(int)
        array([[1, 1, 1],
               [1, 0, 1],
               [1, 1, 1]])
    """
    margin = (1,) * mask.ndim
    framed = _framed_surface(mask, margin).reshape(_longer(mask.shape, margin))
    return framed[(slice(-1),) * mask.ndim]


def directed_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float]
) -> tuple[DirectedDistances, DirectedDistances]:
    """Distance of every surface voxel to the other mask's nearest surface voxel, in both directions.

    Args:
        prediction, reference: bool, same shape, two or three axes; not read any more after the return.
        spacing: distance of neighbouring voxels along each axis, in mm.

    Returns:
        From prediction to reference, and back; both hold no voxel if one of the masks is empty.

    Raises:
        ValueError: shapes or the number of spacings differ.

    Examples:
        >>> prediction, reference = np.array([[0, 0, 1, 1]], bool), np.array([[0, 1, 1, 0]], bool)
        >>> forth, back = directed_distances(prediction, reference, spacing=(1.0, 0.5))
        >>> forth.shared, forth.apart, [block.tolist() for block in forth.blocks]
        (1, 1, [[0.5]])
    """
    _check(prediction, reference, spacing)
    box = bounding_box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    if not prediction.any() or not reference.any():
        return DirectedDistances(0, 0, iter(())), DirectedDistances(0, 0, iter(()))
    sizes, steps = prediction.shape, tuple(float(step) for step in spacing)
    margin = nearest_offsets(steps).reach_within(sizes)
    start, goal = _framed_surface(prediction, margin), _framed_surface(reference, margin)
    shared = int(np.count_nonzero(start & goal))
    apart, apart_back = (int(np.count_nonzero(flat)) - shared for flat in (start, goal))
    return (
        DirectedDistances(shared, apart, _blocks_of_distances(start, goal, apart, sizes, steps)),
        DirectedDistances(shared, apart_back, _blocks_of_distances(goal, start, apart_back, sizes, steps)),
    )


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """`directed_distances` as arrays: float64, in mm, an entry for each voxel, in no particular order.

    Examples:
        >>> forth, back = surface_distances(np.array([[0, 0, 1]], bool), np.array([[1, 1, 0]], bool), (1.0, 0.5))
        >>> sorted(forth.tolist()), sorted(back.tolist())
        ([0.5], [0.5, 1.0])
    """
    forth, back = directed_distances(prediction, reference, spacing)
    return _all(forth), _all(back)


def nearest_distances(start: np.ndarray, goal: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance of every true voxel of one array to the nearest true voxel of another.

    Args:
        start, goal: bool, same shape, two or three axes; `goal` holds a true voxel.
        spacing: distance of neighbouring voxels along each axis, in mm.

    Returns:
        float64, in mm, in the order of `np.flatnonzero(start)`.

    Raises:
        ValueError: shapes or the number of spacings differ, or `goal` is empty.

    Examples:
        >>> nearest_distances(np.array([[1, 0, 0, 1]], bool), np.array([[1, 1, 0, 0]], bool), (1.0, 0.5)).tolist()
        [0.0, 1.0]
    """
    _check(start, goal, spacing)
    if not goal.any():
        raise ValueError("goal holds no true voxel")
    sizes, steps = goal.shape, tuple(float(step) for step in spacing)
    margin = nearest_offsets(steps).reach_within(sizes)
    start, goal = _framed(start, margin), _framed(goal, margin)
    is_apart = ~goal[start]
    distances = np.zeros(is_apart.size)
    blocks = _blocks_of_distances(start, goal, int(np.count_nonzero(is_apart)), sizes, steps)
    distances[is_apart] = np.concatenate([np.empty(0), *blocks])
    return distances


def _all(distances: DirectedDistances) -> np.ndarray:
    return np.concatenate([np.zeros(distances.shared), *distances.blocks])


def _check(one: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> None:
    if one.shape != other.shape:
        raise ValueError(f"the masks are {one.shape} and {other.shape}; they must be equal in shape")
    if len(spacing) != one.ndim:
        raise ValueError(f"spacing has {len(spacing)} entries, the masks have {one.ndim} axes")


def _longer(sizes: tuple[int, ...], margin: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(operator.add, sizes, margin))


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _framed(mask: np.ndarray, margin: tuple[int, ...]) -> np.ndarray:
    """The mask with false voxels at the end of each axis, flattened.

    A step of up to the margin beyond either end of a row lands in false voxels, as the end of one row is the start of
    the next, and the end of the last one, by negative places, that of the first.
    """
    framed = np.zeros(_longer(mask.shape, margin), dtype=bool)
    framed[tuple(slice(size) for size in mask.shape)] = mask
    return framed.reshape(-1)


def _framed_surface(mask: np.ndarray, margin: tuple[int, ...]) -> np.ndarray:
    """The mask's surface, `_framed`; the margin is at least 1 along each axis, or 0 along one of a single voxel."""
    flat, strides = _framed(mask, margin), _strides(_longer(mask.shape, margin))
    if 0 in margin:
        return flat  # all is next to the border along that axis
    inside = flat.copy()
    inside[: strides[0]] = False
    for stride in strides:  # thanks to the frame no shift brings a true voxel across a border
        inside[stride:] &= flat[:-stride]
        inside[:-stride] &= flat[stride:]
    return np.greater(flat, inside, out=inside)


def _blocks_of_voxels(start: np.ndarray, goal: np.ndarray, apart: int) -> Iterator[np.ndarray]:
    """Places of the true voxels of `start` that are not in `goal`, so many, in blocks of about equal size."""
    size = max(BLOCK, start.size // BLOCK_LIMIT)
    if apart <= size:
        yield (start > goal).nonzero()[0]
        return
    parts, waiting = [], 0
    for first in range(0, start.size, size // 2):
        part = slice(first, first + size // 2)
        parts.append(np.flatnonzero(start[part] > goal[part]) + first)
        waiting += parts[-1].size
        if waiting >= size:
            yield np.concatenate(parts)
            parts, waiting = [], 0
    if waiting:
        yield np.concatenate(parts)


def _blocks_of_distances(
    start: np.ndarray, goal: np.ndarray, apart: int, sizes: tuple[int, ...], spacing: tuple[float, ...]
) -> Iterator[np.ndarray]:
    """Distance of each true voxel of `start` that is not in `goal`, so many, to the nearest of `goal`.

    Both are framed and flat; the sizes are those of the arrays without the frame.
    """
    if not apart:
        return
    shells, goal_count = nearest_offsets(spacing), int(np.count_nonzero(goal))
    shape = _longer(sizes, shells.reach_within(sizes))
    blocks, shell_count, jumps = _blocks_of_voxels(start, goal, apart), 0, np.empty(0, int)
    if min(search_times_ns(apart, goal_count, goal.size)) >= CHOICE:
        shells = shells.within(sizes)
        jumps = shells.offsets @ np.array(_strides(shape))
        voxels = next(blocks)
        blocks = itertools.chain([voxels], blocks)
        sampled = [voxels] if voxels.size == apart else _blocks_of_voxels(start, goal, apart)
        sample = np.concatenate([part[:: max(1, apart // SAMPLE)].copy() for part in sampled])
        shell_count = _worthwhile_shells(sample, apart, goal, goal_count, jumps, shells)
    far = FarVoxelSearch(goal.reshape(shape)[tuple(slice(size) for size in sizes)], goal_count, np.array(spacing))
    for voxels in blocks:
        distances, pending = np.empty(voxels.size), np.arange(voxels.size)
        for first, last in itertools.pairwise(shells.starts[: shell_count + 1]):
            is_found = goal[voxels + jumps[first]]
            for jump in jumps[first + 1 : last]:
                is_found |= goal[voxels + jump]
            distances[pending[is_found]] = shells.distances[first]
            pending, voxels = pending[~is_found], voxels[~is_found]
        if pending.size:
            points = np.stack(np.unravel_index(voxels, shape), axis=1)
            distances[pending] = far.distances(points, apart * (pending.size / distances.size))
        yield distances


def _worthwhile_shells(
    sample: np.ndarray, apart: int, goal: np.ndarray, goal_count: int, jumps: np.ndarray, shells: NeighbourOffsets
) -> int:
    """How many shells to walk so that looking up and then searching far takes least time.

    Only the time depends on it: a sample of the open voxels is searched through all shells, which tells how many
    would be open after each, and so what each choice would cost.
    """
    is_goal = goal[sample[:, None] + jumps]
    nearest = np.where(is_goal.any(axis=1), is_goal.argmax(axis=1), jumps.size)
    still_open = np.array([np.count_nonzero(nearest >= start) for start in shells.starts]) / sample.size
    looked_up = np.concatenate([[0], np.cumsum(still_open[:-1] * np.diff(shells.starts))])
    far = [min(search_times_ns(share * apart, goal_count, goal.size)) if share else 0.0 for share in still_open]
    return int(np.argmin(looked_up * apart * LOOKUP + shells.starts * OFFSET + far))
