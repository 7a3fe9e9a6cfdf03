"""Normalised surface distance over surface elements, as the `surface-distance` package of DeepMind defines it.

Between the voxels of every 2x2(x2) block runs a piece of surface: the isosurface through the midpoints of the
block's edges whose ends differ, as in marching squares and cubes. The block's centre stands for the whole piece, and
the piece counts by its length or area. A voxel counts as one whatever the slope of the surface there
(`metrics.case_metrics`, `nsd`); an element counts as large as it is.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from mednoisy.evaluation.bounding_boxes import bounding_box
from mednoisy.evaluation.surface_distances import nearest_distances

Point = tuple[int, ...]  # in half voxels, so that midpoints of edges are whole numbers


def surface_element_nsd(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], tolerance: float
) -> float:
    """Share of both surfaces, by length or area, whose elements lie within the tolerance of the other surface.

    Args:
        prediction, reference: bool, same shape, two or three axes; beyond the array's border all is outside.
        spacing: distance of neighbouring voxels along each axis, in mm.
        tolerance: in mm; distances longer by a relative 1e-9 still count, as 3 x 0.1 mm is not 0.3 mm.

    Returns:
        Between 0 and 1; 0 if one of the masks is empty, NaN if both are.

    Raises:
        ValueError: shapes, axes or spacing that do not fit.

    Source: Nikolov et al. 2021 (doi:10.2196/26151), "surface DSC"; equal to `compute_surface_dice_at_tolerance` of
    surface-distance 0.1, which sets no margin on the tolerance.

    Examples:
        A pixel has a surface of four elements, around its corners; of two neighbours' eight elements four coincide:

        >>> one, other = np.array([[True, False]]), np.array([[False, True]])
        >>> surface_element_nsd(one, other, (1.0, 1.0), tolerance=0.0)
        0.5
        >>> surface_element_nsd(one, other, (1.0, 1.0), tolerance=1.0)
        1.0
    """
    if prediction.shape != reference.shape or prediction.ndim not in (2, 3) or len(spacing) != prediction.ndim:
        raise ValueError(
            f"prediction is {prediction.shape}, reference is {reference.shape}, spacing has {len(spacing)} entries; "
            "they must be equal, with 2 or 3 axes"
        )
    box = bounding_box(prediction | reference)
    codes = [_block_codes(mask[box]) for mask in (prediction, reference)]
    measures = element_measures(tuple(float(step) for step in spacing))
    surfaces = [measures[code] > 0 for code in codes]
    sizes = [measures[code[on]] for code, on in zip(codes, surfaces, strict=True)]
    if not sizes[0].size or not sizes[1].size:
        return 0.0 if sizes[0].size or sizes[1].size else math.nan
    limit = tolerance * (1 + 1e-9)
    within = [
        size[nearest_distances(start, goal, spacing) <= limit].sum()
        for size, start, goal in zip(sizes, surfaces, reversed(surfaces), strict=True)
    ]
    return float(sum(within) / (sizes[0].sum() + sizes[1].sum()))


@functools.lru_cache(maxsize=16)
def element_measures(spacing: tuple[float, ...]) -> np.ndarray:
    """Length (2 axes, in mm) or area (3 axes, in mm²) of the surface element of every block code.

    The bit i of a code tells whether the corner i of the block is inside, corners in C order. The codes without
    surface, all corners outside or all inside, have 0.

    Args:
        spacing: distance of neighbouring voxels along each axis, in mm.

    Returns:
        float64, (16,) or (256,).

    Examples:
        Nothing inside, one corner, two along an edge, everything:

        >>> element_measures((1.0, 1.0))[[0, 1, 3, 15]].round(4).tolist()
        [0.0, 0.7071, 1.0, 0.0]
    """
    steps = np.array(spacing)
    scale = steps / 2 if steps.size == 2 else math.prod(spacing) / steps / 8  # half the product of two half steps
    return np.array([np.linalg.norm(vectors * scale, axis=1).sum() for vectors in _elements(steps.size)])


def _block_codes(mask: np.ndarray) -> np.ndarray:
    """Code of every block of the mask in a frame of outside voxels, uint8, one longer than the mask on each axis."""
    framed = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([size + 1 for size in mask.shape], np.uint8)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        shifted = tuple(slice(offset, offset + size) for offset, size in zip(corner, codes.shape, strict=True))
        codes |= framed[shifted] << bit
    return codes


@functools.cache
def _elements(axes: int) -> list[np.ndarray]:
    """For every code the vectors (N, axes) of its element in half voxels: segments, or cross products of triangles.

    Where the corners of a face alternate, the marked ones are cut off apart from each other. Marked are the corners
    inside, or those outside if these are fewer, so that a mask and its complement have the same elements.
    """
    corners = list(itertools.product((0, 1), repeat=axes))
    elements = []
    for code in range(2 ** len(corners)):
        marked = {corner for bit, corner in enumerate(corners) if code >> bit & 1}
        if 2 * len(marked) > len(corners):
            marked = set(corners) - marked
        segments = [segment for face in _faces(axes) for segment in _cuts(face, marked)]
        if axes == 2:
            vectors = [np.subtract(*segment) for segment in segments]
        else:
            vectors = [triangle for loop in _loops(segments) for triangle in _triangles(loop)]
        elements.append(np.array(vectors, dtype=float).reshape(-1, axes))
    return elements


def _faces(axes: int) -> list[list[Point]]:
    """The corners of the square, or of the cube's six faces, each in cyclic order."""
    square = [(0, 0), (0, 1), (1, 1), (1, 0)]
    if axes == 2:
        return [list(square)]
    return [[(*c[:axis], side, *c[axis:]) for c in square] for axis in range(3) for side in (0, 1)]


def _cuts(face: list[Point], marked: set[Point]) -> list[tuple[Point, Point]]:
    """Segments between midpoints of a face's edges that part its marked corners from the others."""
    edges = [(corner, face[(place + 1) % 4]) for place, corner in enumerate(face)]
    middle = [tuple(a + b for a, b in zip(*edge, strict=True)) for edge in edges]
    crossed = [point for point, (a, b) in zip(middle, edges, strict=True) if (a in marked) != (b in marked)]
    if len(crossed) == 4:
        return [(middle[place - 1], middle[place]) for place in range(4) if face[place] in marked]
    return [(crossed[0], crossed[1])] if crossed else []


def _loops(segments: list[tuple[Point, Point]]) -> list[list[Point]]:
    """The closed polygons that segments form; every point is the end of two."""
    loops, left = [], list(segments)
    while left:
        loop = list(left.pop())
        while loop[0] != loop[-1]:
            following = next(segment for segment in left if loop[-1] in segment)
            left.remove(following)
            loop.append(following[0] if following[1] == loop[-1] else following[1])
        loops.append(loop[:-1])
    return loops


def _triangles(loop: list[Point]) -> list[np.ndarray]:
    """Cross products of the triangles that a polygon falls into, cut so that their area on the unit cube is largest.

    A polygon off one plane has several areas; the published table of the package has this one for every code.
    """
    if len(loop) < 3:
        return []
    first, last = np.array(loop[0]), np.array(loop[-1])
    choices = [
        [np.cross(loop[apex] - first, last - first), *_triangles(loop[: apex + 1]), *_triangles(loop[apex:])]
        for apex in range(1, len(loop) - 1)
    ]
    return max(choices, key=lambda triangles: sum(math.hypot(*triangle) for triangle in triangles))
