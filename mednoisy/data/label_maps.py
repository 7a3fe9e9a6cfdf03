"""Label maps from any file: whole codes, 0 for background, and a note of all that was read into them. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mednoisy.data.file_formats import is_lossy, is_picture
from mednoisy.data.images import Image, check_codes, distinct_values, read_image
from mednoisy.errors import UserError

WHOLE_WITHIN = 1e-3  # how far rounding and float storage may carry a code
BLACK_UP_TO, WHITE = 127, 255
SOFT_FROM, SOFT_TO = 32, 223  # greys that only soft edges have, not the noise beside black and white
FLAT_PIXELS, FLAT_GREYS = 5, 8  # an area of that side within so few greys is no edge
MOST_CODES = 64  # different greys below white that may still be codes


@dataclass(frozen=True)
class LabelMap:
    """A label map and what is worth knowing of how it was read.

    Attributes:
        image: `array` holds codes in the smallest unsigned type, 0 for background; two or three spatial axes.
        notes: texts that follow a subject ("prediction ..."), empty where the file was taken as it is.
    """

    image: Image
    notes: tuple[str, ...] = ()


def read_label_map(
    path: Path | str,
    codes: Collection[int] | None = None,
    mapping: Mapping[int, int] | None = None,
    *,
    case: str | None = None,
) -> LabelMap:
    """The codes of a file, with its geometry.

    Whole numbers stay, floats within 0.001 of whole ones are rounded. Pictures are read as follows; nothing is
    guessed where the guess could change classes unseen.

    - Three equal channels are one; colours are refused.
    - JPEG (by content) keeps no codes: greys become 0 and 255 at 127, and a picture that has greys but none
      above 127 is refused, for they are codes or a faint prediction.
    - Of other pictures, 0 and 255 alone are read as 0 and 1; greys with 255 among them are cut at 127. Not so where
      `codes` covers all greys or names another class than 1 (white has no meaning of its own then). Flat areas of
      grey, and greys below 32 beside white, are refused: they are classes, or a mark for "ignore".

    Args:
        path: of a known format (`formats.SUFFIXES`); of HDF5 files the dataset `label` is read.
        codes: what may occur besides 0; None for anything.
        mapping: old code to new, applied at once to all (so that codes can be exchanged) and before `codes`
            and white are looked at; a JPEG's greys are 0 and 255 by then.
        case: id for messages.

    Raises:
        UserError: E201 to E209, as `read_image`; E206 values not in `codes`; E223 fractions or negative numbers;
            E224 a picture whose greys or colours cannot be read as codes.
    """
    path = Path(path)
    image = read_image(path, "label", case=case)
    array, notes = image.array, []
    if is_picture(path):
        array = _one_channel(array, path, case)
    array = _whole(array, path, case)
    if is_picture(path) and is_lossy(path):
        array, note = _cut_lossy(array, path, case)
        notes.append(note)
    array = _mapped(array, mapping or {})
    if is_picture(path) and _needs_reading(distinct_values(array), codes, path, case):
        array, note = _cut_greys(array, path, case)
        notes.append(note)
    values = distinct_values(array)
    if values[0] < 0:
        cause = f"{path} holds {values[0]}, which is no label code"
        raise UserError("E223", cause, "Store codes from 0, the background, on", case=case)
    if codes is not None:
        cure = "Mend the file; `evaluate` also maps codes (--map OLD=NEW, 0 is background) or takes more (--labels)"
        check_codes(values, {0, *codes}, str(path), cure, case=case)
    smallest = array.astype(np.min_scalar_type(values[-1].item()), copy=False)
    return LabelMap(replace(image, array=smallest), tuple(note for note in notes if note))


def read_reference(path: Path | str, codes: Collection[int] | None = None, *, case: str | None = None) -> Image:
    """The label of a case, for training and for scoring: a picture as `read_label_map` has it, a volume as stored.

    Raises:
        UserError: E201 to E209, as `read_image`; of pictures also E206, E223 and E224, as `read_label_map`.
    """
    if is_picture(Path(path)):
        return read_label_map(path, codes, case=case).image
    return read_image(path, "label", case=case)


def _one_channel(array: np.ndarray, path: Path, case: str | None) -> np.ndarray:
    if array.ndim == 2:
        return array
    if (array != array[..., :1]).any():
        cure = "Store one grey for each code, as PNG without a palette"
        raise UserError("E224", f"{path} is in colours, which are no label codes", cure, case=case)
    return array[..., 0]


def _whole(array: np.ndarray, path: Path, case: str | None) -> np.ndarray:
    if array.dtype.kind in "iu":
        return array
    rounded = np.rint(array)
    wrong = (np.abs(array - rounded) > WHOLE_WITHIN) | (np.abs(array) >= 2.0**31)
    if wrong.any():
        cause = f"{path} holds {array[wrong][0]:g}, which is no label code"
        cure = "Store whole label codes, for example a segmentation instead of its probabilities"
        raise UserError("E223", cause, cure, case=case)
    return rounded.astype(np.int32)


def _mapped(array: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    if not mapping:
        return array
    result = array.astype(np.result_type(array, *(np.min_scalar_type(new) for new in mapping.values())))
    for old, new in mapping.items():
        result[array == old] = new
    return result


def _needs_reading(values: np.ndarray, codes: Collection[int] | None, path: Path, case: str | None) -> bool:
    """Whether a picture's greys mean black and white; refuses those that mean nothing known (E224)."""
    if codes is not None:
        all_known, only_one = set(values.tolist()) <= {0, *codes}, {*codes} - {0} == {1}
        return only_one and not all_known and values[-1] == WHITE
    if values[-1] < WHITE and len(values) > MOST_CODES:
        cause = f"{path} has {len(values)} greys below white, which look like probabilities"
        raise UserError("E224", cause, "Store a mask of 0 and 255, or name the codes by --labels", case=case)
    return bool(values[-1] == WHITE)


def _cut_lossy(greys: np.ndarray, path: Path, case: str | None) -> tuple[np.ndarray, str]:
    brightest = greys.max()
    if 0 < brightest <= BLACK_UP_TO:
        cause = f"{path} is a JPEG whose brightest grey is {brightest}: codes do not survive JPEG, white is 255"
        raise UserError("E224", cause, "Store the mask as PNG", case=case)
    return _cut(greys, path, case, WHITE)


def _cut_greys(greys: np.ndarray, path: Path, case: str | None) -> tuple[np.ndarray, str]:
    between = distinct_values(greys)
    between = between[(between != 0) & (between != WHITE)]
    if not len(between):
        return (greys == WHITE).astype(np.uint8), "white (255) read as code 1"
    if between.max() < SOFT_FROM:
        cause = f"{path} holds {', '.join(map(str, between))} beside white (255): codes with a mark, or soft edges?"
        raise UserError("E224", cause, "Store white alone; `evaluate` can also leave it out (--map 255=0)", case=case)
    return _cut(greys, path, case, 1)


def _cut(greys: np.ndarray, path: Path, case: str | None, white: int) -> tuple[np.ndarray, str]:
    """Above 127 `white`, 0 elsewhere, and a note of it."""
    flat = _flat_grey(greys)
    if flat is not None:
        cause = f"{path} has flat areas of grey {flat}: more classes than black and white?"
        raise UserError(
            "E224", cause, f"Store codes as PNG; `evaluate` can also name each (--map {flat}=CODE)", case=case
        )
    return np.where(greys > BLACK_UP_TO, white, 0).astype(np.uint8), f"greys thresholded at {BLACK_UP_TO}"


def _flat_grey(greys: np.ndarray) -> int | None:
    """A grey that fills an area, None where all greys but black and white are edges."""
    if not ((greys >= SOFT_FROM) & (greys <= SOFT_TO)).any():
        return None
    from scipy.ndimage import maximum_filter, minimum_filter

    low, high = minimum_filter(greys, FLAT_PIXELS), maximum_filter(greys, FLAT_PIXELS)
    flat = (low >= SOFT_FROM) & (high <= SOFT_TO) & (high - low <= FLAT_GREYS)
    return int(np.median(greys[flat])) if flat.any() else None
