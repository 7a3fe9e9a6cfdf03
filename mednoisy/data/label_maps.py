"""Label maps from any file: whole codes, 0 for background, and a note of all that was read into them. No torch here.

Pictures are read as follows; nothing is guessed where the guess could change classes unseen.

- Three equal channels are one; colours are refused.
- JPEG (by content) keeps no codes: greys become 0 and 255 at 127, and a picture that has greys but none
  above 127 is refused, for they are codes or a faint prediction.
- Of other pictures, 0 and white alone are read as 0 and 1; greys with white among them, or in their `folder`, are
  cut at half of it. White is 255, or what `folder` says. Not so where `codes` covers all greys or names another
  class than 1 (white has no meaning of its own then). A grey that is neither black, white nor an edge, at
  whatever width, and greys below 32 beside white, are refused: they are classes, or a mark for "ignore".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.data.file_formats import is_lossy, is_picture
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.images import Image, check_codes, distinct_values, read_image
from mednoisy.data.mask_greys import WHITES, FolderGreys, codes_of_greys, cut_lossy
from mednoisy.errors import UserError

WHOLE_WITHIN = 1e-3  # how far rounding and float storage may carry a code


@dataclass(frozen=True)
class LabelMap:
    """A label map and what is worth knowing of how it was read.

    Attributes:
        image: `array` holds codes in the smallest unsigned type, 0 for background; two or three spatial axes.
        notes: texts that follow a subject ("prediction ..."), empty where the file was taken as it is.
        ignored: bool, where the file holds a code to be left out, 0 in `array`; None where there is none.
    """

    image: Image
    notes: tuple[str, ...] = ()
    ignored: np.ndarray | None = None


def read_label_map(
    path: Path | str,
    codes: Collection[int] | None = None,
    mapping: Mapping[int, int] | None = None,
    *,
    ignore: Collection[int] = (),
    folder: FolderGreys | None = None,
    case: str | None = None,
) -> LabelMap:
    """The codes of a file, with its geometry.

    Whole numbers stay, floats within 0.001 of whole ones are rounded; pictures are read as the module says.

    Args:
        path: of a known format (`file_formats.SUFFIXES`); of HDF5 files the dataset `label` is read.
        codes: what may occur besides 0; None for anything.
        mapping: old code to new, applied at once to all (so that codes can be exchanged) and before `codes`
            and white are looked at; a JPEG's greys are 0 and 255 by then.
        ignore: codes, after mapping, whose pixels are left out: `LabelMap.ignored` says where.
        folder: what greys mean in all pictures beside this one (`mask_greys.greys_of_folder`).
        case: id for messages.

    Raises:
        UserError: E201 to E209, as `read_image`; E206 values not in `codes`; E223 fractions or negative numbers;
            E224 a picture whose greys or colours cannot be read as codes.
    """
    path = Path(path)
    image = read_image(path, "label", case=case)
    picture = is_picture(path)
    lossy = picture and is_lossy(path)
    array = _whole(_one_channel(image.array, path, case) if picture else image.array, path, case)
    cut = greys = ""
    if lossy:
        array, cut = cut_lossy(array, path, case)
    array = _mapped(array, mapping or {})
    ignored = np.isin(array, list(ignore)) if ignore else None
    if ignored is not None and ignored.any():
        array = np.where(ignored, 0, array)
    if picture:
        array, greys = codes_of_greys(array, codes, None if lossy else folder, path, case)
    values = distinct_values(array)
    if values[0] < 0:
        cause = f"{path} holds {values[0]}, which is no label code"
        raise UserError("E223", cause, "Store codes from 0, the background, on", case=case)
    if codes is not None:
        cure = (
            "Mend the file; `evaluate` also maps codes (--map OLD=NEW, 0 is background), leaves a mark out (--ignore)"
        )
        check_codes(values, {0, *codes}, str(path), f"{cure}, or takes more (--labels)", case=case)
    smallest = array.astype(np.min_scalar_type(values[-1].item()), copy=False)
    marked = ignored if ignored is not None and ignored.any() else None
    return LabelMap(replace(image, array=smallest), tuple(note for note in (cut, greys) if note), marked)


def ignored_codes(case: Mapping[Any, Any]) -> tuple[int, ...]:
    """The codes that a case of a datalist tells to leave out ("254 255")."""
    return tuple(int(code) for code in str(case.get("ignore", "")).split())


def stored_codes(case: Mapping[Any, Any]) -> tuple[int, ...]:
    """The source's codes that a case's label file holds, in the order of classes ("0 2 4"); none of classes."""
    return tuple(int(code) for code in str(case.get("codes", "")).split())


def read_stored(
    path: Path | str,
    stored: Sequence[int],
    codes: Collection[int] | None = None,
    *,
    ignore: Collection[int] = (),
    case: str | None = None,
) -> LabelMap:
    """Class codes of a file that holds the source's codes; of one that holds classes, as `read_label_map` has it.

    Args:
        stored: the source's code of each class, in the order of classes; none where the file holds classes.
        codes, ignore, case: as for `read_label_map`; `ignore` in the source's codes.

    Raises:
        UserError: as `read_label_map`; E206 also for a code that `stored` has not.
    """
    if not stored:
        return read_label_map(path, codes, ignore=ignore, case=case)
    if is_picture(Path(path)) and len(stored) == 2 and stored[1] in WHITES:  # with soft edges, perhaps
        return read_label_map(path, (0, 1), ignore=ignore, folder=FolderGreys(stored[1]), case=case)
    found = read_label_map(path, stored, ignore=ignore, case=case)
    classes = np.zeros(max(stored) + 1, np.uint8)
    classes[list(stored)] = np.arange(len(stored))
    return replace(found, image=replace(found.image, array=classes[found.image.array]))


def read_reference(
    path: Path | str,
    codes: Collection[int] | None = None,
    *,
    ignore: Collection[int] = (),
    stored: Sequence[int] = (),
    case: str | None = None,
) -> Image:
    """The label of a case, for training and for scoring: a picture as `read_label_map` has it, of a volume whole codes.

    Args:
        ignore: codes to be left out; their voxels are `IGNORED`.
        stored: as for `read_stored`.

    Raises:
        UserError: E201 to E209, as `read_image`; E223, as `read_label_map`; of pictures also E206 and E224.
    """
    if is_picture(Path(path)) or ignore or stored:
        labels = read_stored(path, stored, codes, ignore=ignore, case=case)
        if labels.ignored is None:
            return labels.image
        return replace(labels.image, array=np.where(labels.ignored, IGNORED, labels.image.array))
    image = read_image(path, "label", case=case)
    return replace(image, array=_whole(image.array, Path(path), case))


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
