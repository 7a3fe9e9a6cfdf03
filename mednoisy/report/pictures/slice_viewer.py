"""What the slice viewer of a page draws: an image and its masks, cropped, small, decoded by the browser once.

The image travels as one JPEG, a mosaic of its slices; masks travel as the label codes themselves, 16 bits each,
compressed with gzip, so that neither colour management nor a browser's guard against fingerprints can change them.
"""

from __future__ import annotations

import base64
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Picture

from mednoisy.report.pictures.case_arrays import CaseArrays
from mednoisy.report.pictures.case_pictures import greys

MOST_VOXELS = 4_000_000  # of a viewer's grid; finer ones are thinned out
LEAST_MARGIN = 8  # voxels around the masks
MARGIN = 0.2  # of the masks' extent
JPEG_QUALITY = 80


def viewer_data(
    cases: Mapping[str, CaseArrays], classes: Mapping[int, str], most_voxels: int = MOST_VOXELS
) -> dict[str, Any]:
    """A case as JSON for `templates/viewer.js`: one grid, one image, one reference, a prediction for each run.

    The grid is a stack of planes as they are shown: slices from the top, rows from the front (or the picture's
    top), columns from the patient's right (or the picture's left). A volume is cropped around all masks with a
    margin; either is thinned out where it has too many voxels.

    Args:
        cases: run name to the case as `read_case` gives it; image and reference are those of the first.
        classes: label code to name.
        most_voxels: of the grid.

    Returns:
        `shape` and `spacing` of the grid (slices, rows, columns); `first`, `step` and `size`, which give the place
        of a grid's slice in the file; `middle`, the slices of each plane to begin with; `image` (base64 or None),
        `tiles` (slices in one row of the mosaic), `colour`; `reference` and `predictions` (base64 of gzip of
        little-endian uint16); `classes`; `thinned`, whether voxels are left out;
        `oriented`, whether it is known where right, front and top are.

    Raises:
        ValueError: masks of different shapes.
    """
    first = next(iter(cases.values()))
    masks = [_stack(first.reference), *(_stack(case.prediction) for case in cases.values())]
    if len({mask.shape for mask in masks}) > 1:
        raise ValueError(f"masks have the shapes {', '.join(str(mask.shape) for mask in masks)}; they must be equal")
    spacing = (1.0, *first.spacing) if len(first.spacing) == 2 else first.spacing[::-1]
    sides = _cropped(masks)
    steps = _steps([side.stop - side.start for side in sides], spacing, most_voxels)
    part = tuple(slice(side.start, side.stop, step) for side, step in zip(sides, steps, strict=True))
    cropped = [np.ascontiguousarray(mask[part]) for mask in masks]
    image = None if first.image is None else np.ascontiguousarray(_stack(first.image, len(first.spacing))[part])
    tiles = max(1, round(math.sqrt(cropped[0].shape[0] * cropped[0].shape[1] / cropped[0].shape[2])))
    return {
        "shape": list(cropped[0].shape),
        "spacing": [step * size for step, size in zip(steps, spacing, strict=True)],
        "first": [side.start for side in sides],
        "step": list(steps),
        "size": list(masks[0].shape),
        "middle": _middle(cropped),
        "image": None if image is None else _text(_mosaic_jpeg(image, tiles)),
        "tiles": tiles,
        "colour": image is not None and image.ndim == 4,
        "reference": _text(_packed(cropped[0])),
        "predictions": [_text(_packed(mask)) for mask in cropped[1:]],
        "classes": {"0": "background"} | {str(code): name for code, name in classes.items()},
        "thinned": max(steps) > 1,
        "oriented": first.oriented,
    }


def _stack(array: np.ndarray, axes: int | None = None) -> np.ndarray:
    """(slices, rows, columns[, colours]) from the top, the front and the right; a picture is one slice."""
    if (axes or array.ndim) == 2:
        return array[None]
    return array[::-1, ::-1, ::-1].transpose(2, 1, 0)


def _cropped(masks: Sequence[np.ndarray]) -> tuple[slice, ...]:
    """Around all that any mask labels, with a margin; everything of a picture, or if no mask labels anything."""
    if masks[0].shape[0] == 1:
        return tuple(slice(0, size) for size in masks[0].shape)
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(np.logical_or.reduce([(mask != 0).any(axis=others) for mask in masks]))
        size = masks[0].shape[axis]
        if not occupied.size:
            sides.append(slice(0, size))
            continue
        low, high = int(occupied[0]), int(occupied[-1]) + 1
        margin = max(LEAST_MARGIN, round(MARGIN * (high - low)))
        sides.append(slice(max(0, low - margin), min(size, high + margin)))
    return tuple(sides)


def _steps(shape: Sequence[int], spacing: Sequence[float], most: int) -> tuple[int, ...]:
    """Every how manieth voxel is kept along each axis: the finest axis is thinned out first."""
    steps = [1, 1, 1]
    while math.prod(math.ceil(size / step) for size, step in zip(shape, steps, strict=True)) > most:
        lengths = [
            step * voxel if size > step else math.inf for size, step, voxel in zip(shape, steps, spacing, strict=True)
        ]
        steps[lengths.index(min(lengths))] += 1
    return tuple(steps)


def _middle(masks: Sequence[np.ndarray]) -> list[int]:
    """For each axis the slice with most of the first mask that labels anything."""
    shown = next((mask for mask in masks if mask.any()), masks[0]) != 0
    areas = [shown.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    return [int(area.argmax()) if area.any() else len(area) // 2 for area in areas]


def _mosaic_jpeg(stack: np.ndarray, tiles: int) -> bytes:
    """The slices beside and below each other, `tiles` in a row."""
    slices, rows, columns = stack.shape[:3]
    bright = np.rint(255 * greys(stack, colour=stack.ndim == 4)).astype(np.uint8)
    lines = math.ceil(slices / tiles)
    mosaic = np.zeros((lines * rows, tiles * columns, *stack.shape[3:]), np.uint8)
    for number, plane in enumerate(bright):
        top, left = number // tiles * rows, number % tiles * columns
        mosaic[top : top + rows, left : left + columns] = plane
    stream = io.BytesIO()
    Picture.fromarray(mosaic).save(stream, format="jpeg", quality=JPEG_QUALITY)
    return stream.getvalue()


def _packed(mask: np.ndarray) -> bytes:
    return gzip.compress(mask.astype("<u2").tobytes(), compresslevel=6, mtime=0)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
