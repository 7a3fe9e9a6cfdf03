"""Boxes around the voxels that matter."""

from __future__ import annotations

import math

import numpy as np


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds all voxels that are true, or not 0; slices of length 0 if there are none."""
    if mask.flags.f_contiguous and not mask.flags.c_contiguous:
        return bounding_box(mask.T)[::-1]  # saves a copy
    box: list[slice] = []
    part: np.ndarray = np.ascontiguousarray(mask)
    for _ in range(mask.ndim):
        occupied = np.logical_or.reduce(part.reshape(len(part), math.prod(part.shape[1:])), axis=1).nonzero()[0]
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
        part = np.logical_or.reduce(part[box[-1]], axis=0)  # further axes need only the shadow along this one
    return tuple(box)


def union_box(one: np.ndarray, other: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds the bounding boxes of both."""
    boxes = bounding_box(one), bounding_box(other)
    for box, of_the_other in (boxes, boxes[::-1]):
        if not box[0].stop:
            return of_the_other
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
