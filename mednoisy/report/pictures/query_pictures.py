"""Pictures of chosen cases: the image with the prediction's outline, and beside it where the network is uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from mednoisy.active.regions import inside
from mednoisy.data.images import read_image
from mednoisy.errors import UserError
from mednoisy.report.pictures.case_arrays import PLANES, CaseArrays, image_alone, largest_slice, read_case, slice_of
from mednoisy.report.pictures.case_pictures import EmbeddedPicture, outlined_picture
from mednoisy.report.pictures.pseudo_label_pictures import in_colour

WIDTH = 300  # pixels of a picture
Corners = tuple[Sequence[int], Sequence[int]]


def query_pictures(
    image: Path,
    prediction: Path | None,
    uncertainty: Path | None,
    case: str,
    classes: Sequence[int],
    codes: Sequence[int] = (),
    mark: int | None = None,
    corners: Corners | None = None,
) -> dict:
    """`pictures` of a case, or `why_not`.

    Args:
        image: its file.
        prediction, uncertainty: the label map and the grey map on the image's grid; None without a network.
        classes: numbers of the foreground classes.
        codes: the source's code of each class in label maps; none where it is the class's own number.
        mark: the code in the label map for what was not asked for; None where the whole case was.
        corners: of the slice or box that was asked for, in voxels of the image's file.
    """
    try:
        if prediction is None or uncertainty is None:
            alone = image_alone(image, case)
            shown = None if corners is None else _turned(image, corners, case)
            return {"pictures": [_thumbnail(alone, case, shown, classes)], "why_not": ""}
        maps = {"reference": prediction, "prediction": prediction}
        stored = dict.fromkeys(maps, codes) if codes else {}
        marks = () if mark is None else (mark,)
        arrays, doubt = (
            read_case(maps | {"image": grey}, case, classes, ignored=marks, stored=stored, marked_too=True)
            for grey in (image, uncertainty)
        )
        shown = None if corners is None else _turned(image, corners, case)
    except UserError as fault:
        return {"pictures": [], "why_not": str(fault)}
    if arrays.image is None or doubt.image is None:
        return {"pictures": [], "why_not": arrays.note or doubt.note}
    nothing = np.zeros_like(arrays.reference)
    grey = np.asarray(doubt.image, np.float32) / 255
    return {"pictures": _both(replace(arrays, reference=nothing), replace(arrays, image=grey, reference=nothing),
                              case, classes, shown), "why_not": ""}  # fmt: skip


def _turned(image: Path, corners: Corners, case: str) -> np.ndarray:
    """The region (*spatial), bool, with axes as `read_case` turns them."""
    read = read_image(image, channels=True, case=case)
    mask = inside(read.shape, [corners])
    return mask if mask.ndim == 2 else np.asarray(apply_orientation(mask, io_orientation(read.affine)))


def _framed(arrays: CaseArrays, region: np.ndarray, classes: Sequence[int]) -> tuple[CaseArrays, str, int]:
    """The plane that shows a region: a slice itself, of a box the one through its middle, with its outline."""
    if region.ndim == 2:
        return replace(arrays, reference=region * np.uint8(classes[0] if classes else 1)), "picture", 0
    extents = [int(np.ptp(np.flatnonzero(region.any(axis=tuple({0, 1, 2} - {axis}))))) for axis in range(3)]
    thin = [axis for axis in range(3) if extents[axis] == 0 and region.shape[axis] > 1]
    whole = [axis for axis in range(3) if extents[axis] == region.shape[axis] - 1]
    is_slice = len(thin) == 1 and len(whole) == 2
    axis = thin[0] if is_slice else PLANES["axial"]
    plane = next(name for name, cut in PLANES.items() if cut == axis)
    number = int(np.median(np.flatnonzero(region.any(axis=tuple({0, 1, 2} - {axis})))))
    outline = np.zeros(region.shape, np.uint8) if is_slice else region * np.uint8(classes[0] if classes else 1)
    return replace(arrays, reference=outline), plane, number


def _thumbnail(arrays: CaseArrays, case: str, region: np.ndarray | None, classes: Sequence[int]) -> EmbeddedPicture:
    if region is not None:
        arrays, plane, number = _framed(arrays, region, classes)
        flat = arrays if plane == "picture" else slice_of(arrays, plane, number)
        return outlined_picture(flat, plane, case, WIDTH, classes[:1] or (1,))
    if arrays.prediction.ndim == 2:
        return outlined_picture(arrays, "picture", case, WIDTH, ())
    return outlined_picture(slice_of(arrays, "axial", largest_slice(arrays.prediction, "axial")), "axial", case, WIDTH,
                            ())  # fmt: skip


def _both(
    arrays: CaseArrays, doubt: CaseArrays, case: str, classes: Sequence[int], region: np.ndarray | None
) -> list[EmbeddedPicture]:
    """In the slice that has most of the prediction; without any, in the one of most doubt; of a region in its own."""
    plane = "picture"
    if region is not None:
        arrays, plane, number = _framed(arrays, region, classes)
        doubt = replace(doubt, reference=arrays.reference)
        if plane != "picture":
            arrays, doubt = slice_of(arrays, plane, number), slice_of(doubt, plane, number)
    elif arrays.prediction.ndim == 3:
        plane = "axial"
        grey = np.asarray(doubt.image)
        shown = arrays.prediction if arrays.prediction.any() else grey > grey.max() / 2
        number = largest_slice(shown, plane)
        arrays, doubt = slice_of(arrays, plane, number), slice_of(doubt, plane, number)
    return [
        outlined_picture(arrays, plane, case, WIDTH, classes),
        outlined_picture(in_colour(doubt), plane, f"{case}, where the network is uncertain", WIDTH, ()),
    ]
