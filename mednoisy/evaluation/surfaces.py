"""Surfaces of masks and the distances between them, exact and fast.

Two segmentations of one thing mostly share their surface or miss it by a voxel or two. So only surface voxels
that are not on the other surface are searched for, first by looking up neighbours in order of distance, all
open voxels at once; what lies further away is answered by a KD-tree over the other surface.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

NEIGHBOURS = {2: 80, 3: 514}  # by axes, how many are looked up at most: those within five voxels, if these are cubes
LOOKUPS_PER_QUERY = 150  # neighbours looked up in the time of one query of the tree, measured
LOOKUPS_PER_POINT = 25  # and in the time that one point costs while the tree is built
SAMPLE = 64  # open voxels that are searched first, to find out how far the search pays for all


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask that have a face neighbour outside it; beyond the array's border all is outside.

    Args:
        mask: bool, any number of axes.

    Returns:
        bool, same shape.
    """
    flat, shape, _ = _padded(mask, (1,) * mask.ndim)
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
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction is {prediction.shape}, reference is {reference.shape}; they must be equal")
    if len(spacing) != prediction.ndim:
        raise ValueError(f"spacing has {len(spacing)} entries, the masks have {prediction.ndim} axes")
    box = bounding_box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    if not prediction.any() or not reference.any():
        return np.empty(0), np.empty(0)
    shells = _shells(tuple(float(step) for step in spacing))
    prediction_flat, shape, strides = _padded(prediction, shells.reach)
    reference_flat, _, _ = _padded(reference, shells.reach)
    prediction_surface = _flat_surface(prediction_flat, shape)
    reference_surface = _flat_surface(reference_flat, shape)
    return (
        _directed(prediction_surface, reference_surface, shape, strides, shells),
        _directed(reference_surface, prediction_surface, shape, strides, shells),
    )


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds all true voxels; slices of length 0 if there are none."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        part = mask[tuple(box)]  # what earlier axes have cut away need not be read again
        occupied = np.flatnonzero(part.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
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
        self.reach = tuple(
            int(far) for far in np.abs(self.offsets).max(axis=0, initial=1)
        )  # at least 1, the frame that a surface needs
        changes = np.flatnonzero(np.diff(self.distances) > 1e-12 * limit) + 1
        self.starts = np.concatenate([[0], changes, [len(order)]])


_shells = functools.lru_cache(maxsize=16)(_Shells)


def _padded(mask: np.ndarray, margin: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """The mask in a frame of false voxels, flattened; with the framed shape and its strides in voxels."""
    shape = tuple(size + 2 * frame for size, frame in zip(mask.shape, margin, strict=True))
    framed = np.zeros(shape, dtype=bool)
    framed[tuple(slice(frame, frame + size) for size, frame in zip(mask.shape, margin, strict=True))] = mask
    return framed.reshape(-1), shape, np.array([math.prod(shape[axis + 1 :]) for axis in range(len(shape))])


def _flat_surface(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    inside = flat.copy()
    for axis in range(len(shape)):
        stride = math.prod(shape[axis + 1 :])  # thanks to the frame no shift brings a true voxel across a border
        inside[stride:] &= flat[:-stride]
        inside[:-stride] &= flat[stride:]
    return flat & ~inside


def _directed(
    start: np.ndarray, goal: np.ndarray, shape: tuple[int, ...], strides: np.ndarray, shells: _Shells
) -> np.ndarray:
    """Distance of each voxel of the surface `start` to the nearest of `goal`, both framed and flat."""
    voxels = np.flatnonzero(start)
    distances = np.zeros(voxels.size)
    pending = np.flatnonzero(~goal[voxels])  # the others lie on the other surface: distance 0
    open_voxels = voxels[pending]
    jumps = shells.offsets @ strides
    walked = _worthwhile_shells(open_voxels, goal, jumps, shells)
    for first, last in itertools.pairwise(shells.starts[: walked + 1]):
        found = goal[open_voxels + jumps[first]]
        for jump in jumps[first + 1 : last]:
            found |= goal[open_voxels + jump]
        distances[pending[found]] = shells.distances[first]
        pending, open_voxels = pending[~found], open_voxels[~found]
    if pending.size:
        goal_points = np.stack(np.unravel_index(np.flatnonzero(goal), shape), axis=1) * shells.spacing
        open_points = np.stack(np.unravel_index(open_voxels, shape), axis=1) * shells.spacing
        distances[pending] = KDTree(goal_points).query(open_points)[0]
    return distances


def _worthwhile_shells(open_voxels: np.ndarray, goal: np.ndarray, jumps: np.ndarray, shells: _Shells) -> int:
    """How many shells to walk so that looking up and then asking the tree takes least time.

    Only the time depends on it: a sample of the open voxels is searched through all shells, which tells how many
    would be open after each, and so what each choice would cost, counted in lookups.
    """
    sample = open_voxels[:: max(1, open_voxels.size // SAMPLE)]
    if sample.size == 0:
        return 0
    found = goal[sample[:, None] + jumps]
    nearest = np.where(found.any(axis=1), found.argmax(axis=1), jumps.size)
    still_open = np.array([np.count_nonzero(nearest >= start) for start in shells.starts]) / sample.size
    looked_up = np.concatenate([[0], np.cumsum(still_open[:-1] * np.diff(shells.starts))])
    tree = np.where(still_open > 0, np.count_nonzero(goal) / open_voxels.size * LOOKUPS_PER_POINT, 0)
    return int(np.argmin(looked_up + still_open * LOOKUPS_PER_QUERY + tree))
