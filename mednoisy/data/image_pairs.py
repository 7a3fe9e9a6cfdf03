"""An image and its label side by side: whether they are of one grid, and what is worth knowing. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from mednoisy.data.formats.voxels import UPRIGHT
from mednoisy.data.image import Image
from mednoisy.data.images import check_codes, distinct_values, size_text
from mednoisy.errors import UserError

SAME_PLACE = 0.01  # how many voxels the corners of grids that count as one may lie apart


def check_pair(image: Image, label: Image, codes: Collection[int], *, case: str | None = None) -> Image:
    """The label on its image's grid; refuses one that is on another or holds other values than `codes`.

    Where one of the two files does not say where it lies (`Image.placed`), size and, as far as both state it, voxel
    size are compared, and the label takes the image's place. A volume of one slice is that slice; between a picture
    and a volume's format, columns are x and rows are y, unless the sizes fit only as stored.

    Raises:
        UserError: E204 shapes differ; E205 voxel sizes or affines differ (some corner lies more than a hundredth of a
            voxel apart); E206 values that are no label code.
    """
    flat, flat_label = image.as_slice(), label.as_slice()
    if _exchanged(flat, flat_label):
        flat_label = replace(flat_label, array=flat_label.array.swapaxes(0, 1), spacing=flat_label.spacing[::-1])
    if flat.shape != flat_label.shape:
        cause = f"image is {size_text(image.shape)}, label is {size_text(label.shape)}"
        cure = "Re-export the label on the image's grid, or drop the case"
        if image.order == "rows" and image.shape == label.shape[::-1]:
            cure = "One of them is turned, perhaps by its EXIF orientation, which is heeded: store both upright"
        raise UserError("E204", cause, cure, case=case)
    cure = "Re-export the label on the image's grid, or drop the case"
    if image.placed and label.placed:
        apart = corners_apart_mm(flat.shape, flat.affine, flat_label.affine)
        if apart > SAME_PLACE * min(flat.spacing):
            cause = f"image and label have different affines (corners up to {apart:.3g} mm apart)"
            raise UserError("E205", cause, cure, case=case)
    elif image.located and label.located and not same_size(flat.shape, flat.spacing, flat_label.spacing):
        sizes = [size_text(tuple(round(step, 6) for step in one.spacing)) for one in (flat, flat_label)]
        cause = f"image has voxels of {sizes[0]} mm, label of {sizes[1]} mm"
        raise UserError("E205", cause, cure, case=case)
    mend = "Mend the label, or name the code in `labels` of the datalist and in `label_names` (--dataset FILE)"
    mend += "; a mark of what nobody looked at belongs into `ignore` of the datalist"
    check_codes(distinct_values(label.array), codes, "label", mend, case=case)
    array = np.ascontiguousarray(flat_label.array).reshape(image.shape)
    on_grid = replace(label, array=array, affine=image.affine, spacing=image.spacing)
    return label if image.placed and label.placed and image.shape == label.shape else on_grid


def _exchanged(image: Image, label: Image) -> bool:
    """Whether the axes of a label are those of its image exchanged, for one is a picture and the other a volume's."""
    return {image.order, label.order} == {"rows", "xyz"} and label.shape[::-1] == image.shape


def pair_notes(image: Image, label: Image) -> list[str]:
    """What is worth knowing of an image and its label side by side; texts that follow "image and label"."""
    notes = []
    if image.turned != label.turned:
        stored = [f"{one.turned}" if one.turned != UPRIGHT else "none" for one in (image, label)]
        notes.append(f"were not turned alike by their EXIF orientation ({stored[0]} and {stored[1]}): do they fit?")
    if {image.order, label.order} == {"rows", "xyz"}:
        flat, flat_label = image.as_slice(), label.as_slice()
        how = ": x are columns, y are rows" if _exchanged(flat, flat_label) else ", and fit only as they are stored"
        if sorted(flat.shape) == sorted(flat_label.shape):  # else they are refused
            notes.append(f"are a picture and a volume's format{how}")
    elif image.placed != label.placed and image.order != "rows":
        which = "label" if image.placed else "image"
        notes.append(f"were compared by size alone, for the {which} does not say where it lies")
    return notes


def same_size(shape: Sequence[int], first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two voxel sizes make one grid: at the last voxel they are less than `SAME_PLACE` of a voxel apart."""
    apart = [abs(one - other) * (size - 1) for size, one, other in zip(shape, first, second, strict=True)]
    return max(apart) <= SAME_PLACE * min(first)


def corners_apart_mm(shape: Sequence[int], first: np.ndarray, second: np.ndarray) -> float:
    """The largest distance between the same corner of a grid under two affines (4, 4); two or three axes."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in (*shape, 1)[:3]], [1])).reshape(4, -1)
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())
