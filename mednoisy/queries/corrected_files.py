"""Label maps that come back from an annotator: which they are, whether they fit, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.composition.catalogue import DATALIST
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import TRAINING
from mednoisy.data.file_formats import reader_of
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import case_name, read_image
from mednoisy.data.label_maps import read_reference
from mednoisy.errors import UserError
from mednoisy.report.reading.queries import PRE_ANNOTATIONS, ReadQuery, cases_digest


def check_places(asked: ReadQuery, corrected: Path, output: Path) -> None:
    if corrected.resolve() == (asked.folder / PRE_ANNOTATIONS).resolve():
        cause = f"{corrected} is the query's own folder, so that nobody can tell what was corrected"
        raise UserError("E526", cause, "Save corrected files, and these alone, in another folder")
    if not corrected.is_dir():
        raise UserError("E521", f"the folder of corrections {corrected} does not exist", "Correct the path")
    if (output / DATALIST).exists():
        raise UserError("E522", f"{output} holds a dataset", "Give another --output")


def datalist_of(asked: ReadQuery, data: Path) -> tuple[Datalist, str]:
    """The datalist as the query saw it: the same cases labeled, and set aside for validation.

    Of another one, such as a later round's, whose split is made already, all cases stay as they are; a remark says so.
    """
    split, path = asked.content["split"], data / DATALIST
    remark = ""
    try:
        datalist = Datalist.load(path, split.get("labeled"), split.get("validation") or 0)
        same = cases_digest(datalist) == asked.content["split_digest"]
    except UserError as fault:
        if fault.code != "E217":  # fewer cases than the split takes
            raise
        same = False
    if not same:
        datalist = Datalist.load(path)
        labeled = len(datalist.cases("labeled"))
        remark = f"{path} has other cases than {asked.folder} was asked of: its {labeled} labeled ones stay labeled"
    if datalist.labels != asked.labels or datalist.codes != asked.codes:
        cause = f"the dataset {data} has other classes than {asked.folder} was asked with"
        raise UserError("E521", cause, "Give the dataset of the query by --data")
    return datalist, remark


def checked_ignore(datalist: Datalist, ignore: Sequence[int]) -> tuple[int, ...]:
    """The codes given and those of the dataset (E524 where one is a class)."""
    classes = set(datalist.codes or datalist.labels)
    if of_class := [code for code in ignore if code in classes]:
        cause = f"--ignore {of_class[0]} is the code of a class ({', '.join(map(str, sorted(classes)))})"
        raise UserError("E524", cause, "Mark what nobody looked at by a code that no class has")
    return tuple(dict.fromkeys([*ignore, *(code for code in datalist.ignore if code not in classes)]))


def corrected_files(asked: ReadQuery, corrected: Path) -> tuple[dict[str, Path], list[UserError]]:
    """Corrected files by id, and faults of files of no chosen case."""
    chosen = {case["id"] for case in asked.chosen}
    found: dict[str, list[Path]] = {}
    for path in sorted(corrected.iterdir()):
        if not path.name.startswith(".") and path.is_file() and reader_of(path) is not None:
            found.setdefault(case_name(path), []).append(path)
    faults = []
    for name, paths in found.items():
        if name not in chosen:
            cause = f"{paths[0]} is of no case that was chosen in {asked.folder}"
            faults.append(UserError("E521", cause, "Name corrections as their pre-annotations", case=name))
        elif len(paths) > 1:
            cause = f"{paths[0]} and {paths[1]} are both its correction"
            faults.append(UserError("E521", cause, "Keep one of them", case=name))
    files = {name: paths[0] for name, paths in found.items() if name in chosen and len(paths) == 1}
    return files, faults


def read_correction(
    asked: ReadQuery, datalist: Datalist, case: Mapping[str, Any], path: Path, ignore: Sequence[int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Class codes of the correction, `IGNORED` where nobody looked, and of the pre-annotation; both on one grid."""
    source = asked.path(case, "image")
    assert source is not None  # as `read_query` has checked
    image = read_image(source, channels=True, case=case["id"])
    classes = set(datalist.labels)
    label = read_reference(path, classes, ignore=ignore, stored=datalist.codes, case=case["id"])
    labels = check_pair(image, label, classes | ({IGNORED} if ignore else set()), case=case["id"])
    before = asked.path(case, "pre_annotation")
    if before is None or not before.is_file():
        return labels.array.astype(np.uint8), None
    marks = () if asked.mark is None else (asked.mark,)
    pre = read_reference(before, classes, ignore=marks, stored=asked.codes, case=case["id"])
    return labels.array.astype(np.uint8), pre.array.reshape(labels.array.shape)


def check_listed(datalist: Datalist, asked: ReadQuery, case: Mapping[str, Any]) -> None:
    """Refuse a case whose id the datalist gives another image (E207)."""
    image = asked.path(case, "image")
    assert image is not None  # as `read_query` has checked
    for section in (*TRAINING, "validation", "test"):
        for listed in datalist.sections.get(section, []):
            if listed["id"] == case["id"] and Path(listed["image"]).resolve() != image.resolve():
                cause = f"{image} was asked, and {datalist.source} lists {listed['image']} by this id"
                raise UserError("E207", cause, "Give the dataset that was asked by --data", case=case["id"])
