"""Offsets to a voxel's nearest neighbours, in shells of equal distance."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

NEIGHBOURS = {2: 80, 3: 514}  # by axes, how many at most: those within five voxels, if these are cubes


@dataclass(frozen=True)
class NeighbourOffsets:
    """Offsets to the nearest neighbours in order of distance.

    Attributes:
        offsets: whole numbers (N, axes).
        distances: of the offsets, in mm.
        starts: places in `offsets` where the distance changes, the first and the end included.
        reach: along each axis the longest step of an offset; at least 1.
    """

    offsets: np.ndarray
    distances: np.ndarray
    starts: np.ndarray
    reach: tuple[int, ...]

    def reach_within(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """`reach` if no step leads out of an array of these sizes wherever it starts."""
        return tuple(min(far, size - 1) for far, size in zip(self.reach, sizes, strict=True))

    def within(self, sizes: tuple[int, ...]) -> NeighbourOffsets:
        """Without the offsets that lead out of an array of these sizes wherever they start."""
        reach = self.reach_within(sizes)
        if reach == self.reach:
            return self
        kept = (np.abs(self.offsets) < sizes).all(axis=1)
        starts = np.unique(np.concatenate([[0], np.cumsum(kept)])[self.starts])
        return NeighbourOffsets(self.offsets[kept], self.distances[kept], starts, reach)


@functools.lru_cache(maxsize=16)
def nearest_offsets(spacing: tuple[float, ...]) -> NeighbourOffsets:
    """The shells of a grid whose neighbouring voxels are so far apart along each axis, in mm."""
    axes, voxel = len(spacing), math.prod(spacing)
    most = NEIGHBOURS[axes]
    ball = math.pi if axes == 2 else 4 / 3 * math.pi  # of radius 1
    limit = ((most + 1) * voxel / ball) ** (1 / axes)
    reach = [math.floor(limit / step) for step in spacing]  # this box holds the ball, so no neighbour is missed
    offsets = np.array(list(itertools.product(*(range(-far, far + 1) for far in reach))))
    distances = np.sqrt(((offsets * np.array(spacing)) ** 2).sum(axis=1))
    order = np.argsort(distances, kind="stable")
    order = order[(distances[order] <= limit) & (distances[order] > 0)][:most]
    offsets, distances = offsets[order], distances[order]
    farthest = np.abs(offsets).max(axis=0, initial=1)
    changes = np.flatnonzero(np.diff(distances) > 1e-12 * limit)
    starts = np.concatenate([[0], changes + 1, [len(order)]])
    return NeighbourOffsets(offsets, distances, starts, tuple(int(far) for far in farthest))
