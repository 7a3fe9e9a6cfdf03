"""A case as arrays: image, reference and prediction on one grid, and slices of them as they are shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from mednoisy.data.images import Image, read_image
from mednoisy.data.label_maps import LabelMap, read_label_map, read_stored
from mednoisy.data.mask_greys import FolderGreys
from mednoisy.errors import UserError
from mednoisy.evaluation.prediction_pairs import on_grid_of

PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}  # plane to the axis it cuts, once axes point right, front, up
SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}  # what is at the left and the right border


@dataclass(frozen=True)
class CaseArrays:
    """Image (if there is one), reference and prediction on one grid whose axes point right, front and up.

    Nothing is resampled: axes of an oblique grid point nearest to where they are said to.

    `note` says why an image that there is cannot be shown; `oriented`, whether the files of reference and image say
    where the patient's right is. Where they do not, the axes are as stored and their directions a mere convention.
    """

    image: np.ndarray | None
    reference: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, ...]
    note: str = ""
    oriented: bool = False


def read_case(
    files: Mapping[str, Path],
    case: str,
    codes: Collection[int] | None = None,
    mapping: Mapping[int, int] | None = None,
    ignored: Collection[int] = (),
    folder_greys: Mapping[str, FolderGreys] | None = None,
    stored: Mapping[str, Sequence[int]] | None = None,
    *,
    marked_too: bool = False,
) -> CaseArrays:
    """Read a case's reference and prediction as they were scored, and its image where it has one.

    Args:
        files: paths of reference, prediction and perhaps image.
        case: its id.
        codes, mapping, ignored, folder_greys: as the label maps were read, see `read_label_map`.
        stored: of reference and prediction that hold the source's codes, these, see `read_stored`.
        marked_too: whether the prediction holds `ignored` codes, as that of a query does.

    Raises:
        UserError: E2xx and E4xx for label maps that cannot be read or do not lie on one grid.
    """
    greys, of_source = folder_greys or {}, stored or {}

    def read(part: str, ignore: Collection[int] = ()) -> LabelMap:
        if part in of_source:
            return read_stored(files[part], of_source[part], codes, ignore=ignore, case=case)
        return read_label_map(files[part], codes, mapping, ignore=ignore, folder=greys.get(part), case=case)

    marked = read("reference", ignored)
    reference = marked.image
    prediction, _ = on_grid_of(read("prediction", ignored if marked_too else ()).image, reference, case=case)
    if marked.ignored is not None:
        prediction = np.where(marked.ignored, 0, prediction)
    image, note, oriented = _image(files["image"], reference, case) if "image" in files else (None, "", True)
    if len(reference.spacing) == 2:
        return CaseArrays(image, reference.array, prediction, reference.spacing, note)
    turn = io_orientation(reference.affine)
    along = np.argsort(turn[:, 0])
    return CaseArrays(
        None if image is None else apply_orientation(image, turn),
        apply_orientation(reference.array, turn),
        apply_orientation(prediction, turn),
        tuple(reference.spacing[axis] for axis in along),
        note,
        oriented and reference.oriented,
    )


def image_alone(path: Path, case: str) -> CaseArrays:
    """A case of which there is an image and no label map, as `read_case` would have it.

    Raises:
        UserError: E2xx, the image cannot be read.
    """
    image = read_image(path, "image", channels=True, case=case)
    axes = len(image.spacing)
    shown = image.array[..., 0] if axes == 3 and image.array.ndim > axes else image.array
    if axes == 2:
        nothing = np.zeros(shown.shape[:2], np.uint8)
        return CaseArrays(shown, nothing, nothing, image.spacing, "", image.oriented)
    turn = io_orientation(image.affine)
    shown = apply_orientation(shown, turn)
    nothing = np.zeros(shown.shape, np.uint8)
    spacing = tuple(image.spacing[axis] for axis in np.argsort(turn[:, 0]))
    return CaseArrays(shown, nothing, nothing, spacing, "", image.oriented)


def _image(path: Path, reference: Image, case: str) -> tuple[np.ndarray | None, str, bool]:
    """The image on the reference's grid, or why it cannot be shown (figures do not depend on it); and `oriented`."""
    try:
        image = read_image(path, "image", case=case)
        if image.array.ndim == len(image.spacing):
            return on_grid_of(image, reference, case=case)[0], "", image.oriented
    except UserError as fault:
        return None, fault.cause, True
    if image.shape != reference.shape:  # a picture in colour, which has no other geometry than its size
        return None, f"it has {image.shape[0]} x {image.shape[1]} pixels, the reference another size", True
    return image.array, "", image.oriented


def largest_slice(mask: np.ndarray, plane: str) -> int:
    """The number of the slice that has most of a mask (three axes); the middle one of an empty mask."""
    cut = PLANES[plane]
    areas = (mask != 0).sum(axis=tuple(axis for axis in range(3) if axis != cut))
    return int(areas.argmax()) if areas.any() else mask.shape[cut] // 2


def slice_of(case: CaseArrays, plane: str, number: int) -> CaseArrays:
    """One slice of a volume with three axes as a picture: rows from the top, columns from the left."""
    cut = PLANES[plane]
    down, across = (axis for axis in (2, 1, 0) if axis != cut)
    return replace(
        case,
        image=None if case.image is None else _upright(case.image, cut, number),
        reference=_upright(case.reference, cut, number),
        prediction=_upright(case.prediction, cut, number),
        spacing=(case.spacing[down], case.spacing[across]),
    )


def _upright(array: np.ndarray, cut: int, number: int) -> np.ndarray:
    """The plane as rows from top to bottom: up (or front) at the top, patient's right (or front) at the left."""
    return np.take(array, number, axis=cut).T[::-1, ::-1]
