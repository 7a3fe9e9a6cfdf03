"""What clients send: label maps and images are checked before anything changes, and nothing is overwritten for good."""

from __future__ import annotations

import filecmp
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.data.claims import claimed_voxels, stands_alone
from mednoisy.data.file_formats import is_picture, reader_of
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import Image, case_name, check_image, distinct_values, read_image
from mednoisy.data.label_maps import read_label_map, read_reference
from mednoisy.data.segments import codes_of_segments
from mednoisy.errors import UserError
from mednoisy.files import written_aside
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.monai_label.names import FINAL, checked_id, checked_tag
from mednoisy.monai_label.studies import Study, found_studies, keep_copy
from mednoisy.monai_label.workplace import Workplace, listed_numbers, write_state

DISAGREEMENT = "disagreement"  # the segment that shows where opinions differ, which is no class
BACKGROUND = "background"
LARGER_AT_MOST = 4  # times the image, before a label's voxels are read


@dataclass(frozen=True)
class SavedLabel:
    """What was kept of a label map.

    Attributes:
        path: the file, in class codes.
        voxels: of each class by name.
        version: number of the kept copy of the label before it; None where there was none.
        undecided: voxels that were still marked as disagreement, and took the class that was shown there.
    """

    path: Path
    voxels: Mapping[str, int]
    version: int | None
    undecided: int


def save_label(
    place: Workplace, study: Study, file: Path, classes: Sequence[str], info: Mapping[str, Any], tag: str = FINAL
) -> SavedLabel:
    """Check a label map, bring it to class codes on its image's grid, and save it; the one before is kept.

    Args:
        file: of any known format.
        classes: names in order of their codes.
        info: of the client; `label_info` names the segments, see `codes_of_segments`.
        tag: under which it is saved.

    Raises:
        UserError: E201 to E209, E223, E224: it cannot be read, is no label map, or is on another grid; E558, as
            `check_stands_alone`; E573, far larger than its image; E575, a segment of no class, or a mark of
            disagreement where nothing was shown.
    """
    checked_tag(tag)
    check_stands_alone(file, study.id)
    image = read_image(study.image, channels=True, case=study.id)
    _check_size(file, image, study)
    raw = _read(file, study)
    values = distinct_values(raw.array).tolist()
    mapping = codes_of_segments(info.get("label_info"), [*classes, DISAGREEMENT], values, study.id)
    codes = raw.array if mapping is None else _mapped(raw.array, mapping)
    marked = len(classes)
    on_grid = check_pair(image, replace(raw, array=codes), {*range(len(classes)), marked}, case=study.id)
    label = on_grid.array.astype(np.uint8)
    undecided = label == marked
    if undecided.any():
        label = np.where(undecided, _shown(place, study, label.shape), label).astype(np.uint8)
    target = label_path(place, study, tag)
    version = keep_version(place, study.id, target, tag)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_labels(target, label, image.affine, study.image)
    counts = {name: int(np.count_nonzero(label == code)) for code, name in enumerate(classes) if code}
    return SavedLabel(target, counts, version, int(np.count_nonzero(undecided)))


def label_path(place: Workplace, study: Study, tag: str) -> Path:
    """Where the label map of a study lies."""
    return label_file(place.labels.parent / tag, study.id, study.image)


def keep_version(place: Workplace, case: str, path: Path, tag: str) -> int | None:
    """Keep a copy of a label map that is about to be replaced or removed; its number, None where there is none."""
    if not path.is_file():
        return None
    folder = place.folder / "versions" / tag / case
    number = max(listed_numbers(folder), default=0) + 1
    keep_copy(path, folder / str(number) / path.name)
    write_state(folder / str(number) / "kept.json", {"case": case, "tag": tag, "replaced": time.time()})
    return number


def add_image(place: Workplace, name: object, file: Path) -> Path:
    """Check an image and put it among the studies; its file. The same file again changes nothing.

    Raises:
        UserError: E572, as `checked_id`; E558, as `check_stands_alone`; E587, another image of that id is there; E2xx,
            it cannot be read, or shows nothing.
    """
    case = checked_id(name)
    check_stands_alone(file, case)
    if reader_of(file) is None:
        read_image(file, channels=True, case=case)  # tells which formats are known
    there = {study.id: study.image for study in found_studies(place)}
    if case in there:
        if filecmp.cmp(file, there[case], shallow=False):
            return there[case]
        cause = f"there is another image of the id {case!r}, which is never overwritten"
        raise UserError("E587", cause, "Give another id", case=case)
    check_image(read_image(file, channels=True, case=case), case=case)
    target = place.studies / f"{case}{file.name[len(case_name(file)) :]}"
    if case_name(target) != case or target.exists():
        raise UserError("E572", f"{case!r} with the ending of {file.name} names another file", "Give another id")
    with written_aside(target) as aside:
        shutil.copyfile(file, aside)
    return target


def keep_shown(place: Workplace, study: Study, labels: np.ndarray, affine: np.ndarray) -> None:
    """Keep the classes that a client was shown, for voxels that come back marked as disagreement."""
    write_labels(label_file(place.folder / "shown", study.id, study.image), labels, affine, study.image)


def _shown(place: Workplace, study: Study, shape: tuple[int, ...]) -> np.ndarray:
    """The classes that were shown last (E575, none were: the mark stands for nothing)."""
    path = label_file(place.folder / "shown", study.id, study.image)
    if not path.is_file():
        cause = "voxels are marked as disagreement, and no prediction of this study was shown"
        raise UserError("E575", cause, "Give them a class, or the background's", case=study.id)
    return read_image(path, "label", case=study.id).array.reshape(shape)


def _read(file: Path, study: Study) -> Image:
    if is_picture(file):
        return read_label_map(file, case=study.id).image
    return read_reference(file, case=study.id)


def _mapped(array: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    mapped = np.zeros(array.shape, np.uint8)
    for value, code in mapping.items():
        mapped[array == value] = code
    return mapped


def check_stands_alone(file: Path, case: str | None = None) -> None:
    """Refuse what was sent and may name files of this machine as its voxels (E558)."""
    if file.is_file() and not stands_alone(file):
        cause = f"an upload that ends in {file.suffix} may have its voxels elsewhere"
        raise UserError("E558", cause, "Send NIfTI, NRRD or MetaImage as one file, or a picture", case=case)


def _check_size(file: Path, image: Image, study: Study) -> None:
    """Refuse a label whose header tells of far more voxels than its image has, before they are unpacked (E573)."""
    voxels = claimed_voxels(file)
    if voxels is not None and voxels > LARGER_AT_MOST * np.prod(image.shape):
        cause = f"its header tells of {voxels:.3g} voxels, the image has {int(np.prod(image.shape))}"
        raise UserError("E573", cause, "Export the label on the image's grid", case=study.id)
