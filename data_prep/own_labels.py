"""Images of several channels and labels of several files, read for anybody's folders, and how the two fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

from mednoisy.data.file_formats import is_picture
from mednoisy.data.image_pairs import SAME_PLACE, corners_apart_mm, same_size
from mednoisy.data.images import Image, distinct_values, read_image, read_series
from mednoisy.data.label_maps import read_label_map
from mednoisy.data.mask_greys import FolderGreys
from mednoisy.errors import UserError

TAKEN_APART = 0.1  # of a voxel, by which a label may lie beside its image: rounding of headers, not another grid
LABEL_CODES = "Name all codes, as in --names 0=background,128=cup,255=disc"


@dataclass(frozen=True)
class LabelReading:
    """How the label files of a source are read.

    Attributes:
        one_a_class: whether each file of a case shows one class, as anything but 0.
        codes: that may occur, where the user or the source names them; none for any.
        ignore: codes that mark voxels nobody looked at.
        greys: what greys mean in pictures, for each of a case's files; None where there are none.
    """

    one_a_class: bool = False
    codes: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()
    greys: tuple[FolderGreys | None, ...] = (None,)


def read_channels(paths: Sequence[str], case: str) -> Image:
    """The image of one file, of one file a channel (channels last), or of a folder that holds a DICOM series.

    Raises:
        UserError: as `read_image`; E256, channels of several grids or several channels in a file of one.
    """
    if Path(paths[0]).is_dir():
        return read_series(paths[0], case=case)
    first, *others = (read_image(path, "image", channels=True, case=case) for path in paths)
    if not others:
        return first
    for path, other in zip(paths[1:], others, strict=True):
        gap = apart(first, other)
        if isinstance(gap, str) or first.array.ndim > len(first.spacing) or other.array.ndim > len(first.spacing):
            cause = f"channel {path} {gap or 'or another one holds several channels itself'}"
            raise UserError("E256", cause, "Store all channels of a case on one grid, one a file", case=case)
    return replace(first, array=np.stack([first.array, *(other.array for other in others)], axis=-1))


def read_codes(paths: Sequence[str], reading: LabelReading, case: str) -> tuple[Image, tuple[str, ...]]:
    """The codes of a case as its source has them (white is 1), or numbers of classes from 1 where each has a file.

    Codes to be ignored are kept. Notes follow "label".

    Raises:
        UserError: as `read_label_map`; E257, a file of one class that holds several codes; E366, classes overlap.
    """
    if not reading.one_a_class:
        return _read(paths[0], reading, 0, case)
    images: list[Image] = []
    notes: list[str] = []
    for number, path in enumerate(paths):
        image, of_file = _read(path, replace(reading, codes=()), number, case)
        notes += of_file
        if (count := len(set(distinct_values(image.array).tolist()) - {0})) > 1:
            cause = f"{path} shows one class, but holds {count} codes"
            raise UserError(
                "E257", cause, "Give one file of all classes as --labels FOLDER, or one code a file", case=case
            )
        images.append(image)
    merged = np.zeros(images[0].shape, np.uint8)
    for number, image in enumerate(images, 1):
        gap = apart(images[0], image)
        if isinstance(gap, str):
            raise UserError(
                "E256", f"label {paths[number - 1]} {gap}", "Store all labels of a case on one grid", case=case
            )
        shown = image.array.reshape(merged.shape) > 0
        if (both := int(np.count_nonzero(merged[shown]))) > 0:
            cause = f"{both} voxels are of two classes ({paths[number - 1]} and one before it)"
            raise UserError("E366", cause, "Decide to which class they belong: classes exclude each other", case=case)
        merged[shown] = number
    return replace(images[0], array=merged), tuple(notes)


def _read(path: str, reading: LabelReading, number: int, case: str) -> tuple[Image, tuple[str, ...]]:
    greys = reading.greys[number] if number < len(reading.greys) else None
    try:
        found = read_label_map(
            path, {*reading.codes, *reading.ignore} if reading.codes else None, folder=greys, case=case
        )
    except UserError as fault:
        if fault.code in ("E224", "E206"):
            raise UserError("E257", fault.cause, f"Mend the file. {LABEL_CODES}", case=case) from fault
        raise
    return found.image, found.notes


def apart(image: Image, label: Image) -> float | str:
    """How far a label lies beside its image, as a share of the image's smallest voxel edge; a text where that is more
    than `TAKEN_APART`, or cannot be said."""
    flat, flat_label = image.as_slice(), label.as_slice()
    if flat.shape != flat_label.shape:
        return f"is {_by(label.shape)}, the image {_by(image.shape)}"
    if image.placed and label.placed:
        gap = corners_apart_mm(flat.shape, flat.affine, flat_label.affine)
        share = gap / min(flat.spacing)
        return share if share <= TAKEN_APART else f"lies up to {gap:.3g} mm ({share:.2g} voxels) beside the image"
    if image.located and label.located and not same_size(flat.shape, flat.spacing, flat_label.spacing):
        sizes = [_by([round(step, 4) for step in one.spacing]) for one in (flat_label, flat)]
        return f"has voxels of {sizes[0]} mm, the image of {sizes[1]} mm"
    return 0.0


def matched(image: Image, label: Image) -> Image | str:
    """The label on its image's grid, each voxel with the code of the nearest one; why not, where that says nothing."""
    if not (image.placed and label.placed) or len(image.spacing) != len(label.spacing):
        return "and one of the two does not say where it lies"
    step = np.linalg.inv(label.affine) @ image.affine
    axes = len(image.spacing)
    array = affine_transform(
        label.array, step[:axes, :axes], step[:axes, 3], output_shape=image.shape, order=0, mode="grid-constant"
    )
    if label.array.any() and not array.any():
        return "and nothing of it lies within the image"
    return replace(label, array=array, affine=image.affine, spacing=image.spacing)


def on_grid(image: Image, label: Image, *, match: bool) -> Image | str:
    """The label's codes on its image's grid; what is wrong with them, where they do not fit.

    Args:
        match: whether a label on another grid is resampled.
    """
    gap = apart(image, label)
    if not isinstance(gap, str):
        return replace(label, array=label.array.reshape(image.shape), affine=image.affine, spacing=image.spacing)
    if not match:
        return gap
    fitted = matched(image, label)
    return f"{gap}, {fitted}" if isinstance(fitted, str) else fitted


def classes_of(codes: np.ndarray, sources: Sequence[int], ignore: Collection[int], ignored_as: int) -> np.ndarray:
    """Class numbers (uint8) of codes; `ignored_as` where a code is to be ignored."""
    table = np.zeros(max([*sources, *ignore]) + 1, np.uint8)
    table[list(sources)] = np.arange(len(sources))
    table[list(ignore)] = ignored_as
    return table[codes]


def same_grid(gap: float) -> bool:
    """Whether a distance as `apart` has it is none at all, for every reader."""
    return gap <= SAME_PLACE


def files_of(paths: Sequence[str]) -> tuple[str, ...]:
    """The files, and those of folders."""
    return tuple(
        str(file)
        for path in paths
        for file in (sorted(one for one in Path(path).iterdir() if one.is_file()) if Path(path).is_dir() else [path])
    )


def pictured(paths: Sequence[str]) -> bool:
    """Whether a case is a picture."""
    return is_picture(Path(paths[0]))


def _by(sizes: Sequence[int | float]) -> str:
    return "x".join(f"{size:g}" for size in sizes)
