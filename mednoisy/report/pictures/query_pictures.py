"""Pictures of chosen cases: the image with the prediction's outline, and beside it where the network is uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mednoisy.errors import UserError
from mednoisy.report.pictures.case_arrays import CaseArrays, image_alone, largest_slice, read_case, slice_of
from mednoisy.report.pictures.case_pictures import EmbeddedPicture, outlined_picture
from mednoisy.report.pictures.pseudo_label_pictures import in_colour

WIDTH = 300  # pixels of a picture


def query_pictures(
    image: Path,
    prediction: Path | None,
    uncertainty: Path | None,
    case: str,
    classes: Sequence[int],
    codes: Sequence[int] = (),
) -> dict:
    """`pictures` of a case, or `why_not`.

    Args:
        image: its file.
        prediction, uncertainty: the label map and the grey map on the image's grid; None without a network.
        classes: numbers of the foreground classes.
        codes: the source's code of each class in label maps; none where it is the class's own number.
    """
    try:
        if prediction is None or uncertainty is None:
            return {"pictures": [_thumbnail(image_alone(image, case), case)], "why_not": ""}
        maps = {"reference": prediction, "prediction": prediction}
        stored = dict.fromkeys(maps, codes) if codes else {}
        arrays = read_case(maps | {"image": image}, case, classes, stored=stored)
        doubt = read_case(maps | {"image": uncertainty}, case, classes, stored=stored)
    except UserError as fault:
        return {"pictures": [], "why_not": str(fault)}
    if arrays.image is None or doubt.image is None:
        return {"pictures": [], "why_not": arrays.note or doubt.note}
    nothing = np.zeros_like(arrays.reference)
    grey = np.asarray(doubt.image, np.float32) / 255
    return {"pictures": _both(replace(arrays, reference=nothing), replace(arrays, image=grey, reference=nothing),
                              case, classes), "why_not": ""}  # fmt: skip


def _thumbnail(arrays: CaseArrays, case: str) -> EmbeddedPicture:
    if arrays.prediction.ndim == 2:
        return outlined_picture(arrays, "picture", case, WIDTH, ())
    return outlined_picture(slice_of(arrays, "axial", largest_slice(arrays.prediction, "axial")), "axial", case, WIDTH,
                            ())  # fmt: skip


def _both(arrays: CaseArrays, doubt: CaseArrays, case: str, classes: Sequence[int]) -> list[EmbeddedPicture]:
    """In the slice that has most of the prediction; without any, in the one of most doubt."""
    plane = "picture"
    if arrays.prediction.ndim == 3:
        plane = "axial"
        grey = np.asarray(doubt.image)
        shown = arrays.prediction if arrays.prediction.any() else grey > grey.max() / 2
        number = largest_slice(shown, plane)
        arrays, doubt = slice_of(arrays, plane, number), slice_of(doubt, plane, number)
    return [
        outlined_picture(arrays, plane, case, WIDTH, classes),
        outlined_picture(in_colour(doubt), plane, f"{case}, where the network is uncertain", WIDTH, ()),
    ]
