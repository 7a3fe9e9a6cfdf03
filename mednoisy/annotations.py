"""Corrected label maps taken back from an annotator: checked, compared with what was predicted, made a new datalist."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.annotated_regions import labels_of_regions
from mednoisy.composition.catalogue import DATALIST
from mednoisy.composition.catalogue import PAGE as BUNDLE_PAGE
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import LABELED_BY_HAND, TRAINING, Case, check_unique
from mednoisy.data.file_formats import is_lossy, is_picture, reader_of
from mednoisy.data.ignored_voxels import IGNORED, codes_with_mark
from mednoisy.data.images import case_name, check_pair, distinct_values, read_image
from mednoisy.data.label_maps import read_reference
from mednoisy.data.mask_greys import WHITES
from mednoisy.errors import REFUSED, UserError
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.files import write_text
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.next_round import next_command, next_query
from mednoisy.report.reading.queries import PRE_ANNOTATIONS, ReadQuery, cases_digest, read_query

CHANGES = "annotations.csv"


@dataclass(frozen=True)
class Change:
    """What an annotator did to a case.

    Attributes:
        case: its id.
        voxels: that differ from the pre-annotation; all foreground where there was none. Of slices and boxes those in
            them alone.
        dice: of pre-annotation and correction by class name, NaN where both lack it; none without a pre-annotation.
        ignored: voxels that nobody looked at.
    """

    case: str
    voxels: int
    dice: Mapping[str, float]
    ignored: int


@dataclass(frozen=True)
class Taken:
    """What came back.

    Attributes:
        datalist: path of the new datalist.
        changes: of each case that was taken, in the order of the query.
        waiting: ids of chosen cases that nobody has corrected yet.
        faults: why files were not taken.
        known: ids of chosen cases that the dataset has labels of already.
        remark: where the dataset is another than was asked, what that means; else empty.
        command: of the next round.
        query: command of the query after it.
    """

    datalist: Path
    changes: list[Change]
    waiting: list[str]
    faults: list[UserError]
    known: list[str]
    remark: str
    command: str
    query: str


def take_annotations(
    query: Path | str, corrected: Path | str, data: Path | str, output: Path | str, ignore: Sequence[int] = ()
) -> Taken:
    """Write `output/datalist.json`, in which corrected cases are labeled, and `output/labels`.

    Of slices and boxes these alone get labels, beside those that earlier rounds gave the case; the rest of the case
    is marked by the code that the datalist ignores.

    Images and earlier labels stay where they are and are listed from there. The bundle of the dataset, if it has one,
    is copied, so that the next round trains as this one did.

    Args:
        query: folder of the query.
        corrected: folder of label maps `ID.nii.gz` (of pictures `ID.png`), in the codes of the pre-annotations.
        data: the prepared dataset that the query was made of.
        output: folder of the new dataset, which must not be there.
        ignore: codes in corrected files that mark voxels nobody looked at.

    Raises:
        UserError: E207, a case is listed with another image; E519, no query; E521, the folder of corrections or the
            dataset does not fit; E522, `output` is taken; E523, nothing can be taken: of one file the reason itself;
            E524, a class is to be ignored; E525, no code is left to mark that by; E526, the corrections lie in place
            of the pre-annotations; E528, as `RegionLabels.drawn`, where slices or boxes were asked for.
    """
    asked, data, output = read_query(query), Path(data), Path(output)
    _check_places(asked, Path(corrected), output)
    datalist, remark = _datalist(asked, data)
    ignore = _checked_ignore(datalist, [*ignore, *([] if asked.mark is None else [asked.mark])])
    chosen = list({case["id"]: case for case in asked.chosen}.values())  # each once, of several slices or boxes
    labeled = {case["id"]: labels_of_regions(asked, datalist, case["id"]) for case in chosen}
    known = [name for name, of_case in labeled.items() if of_case.known]
    files, faults = _files(asked, Path(corrected))
    taken: dict[str, tuple[np.ndarray, Change]] = {}
    for case in chosen:
        if case["id"] not in files:
            continue
        try:
            _check_listed(datalist, asked, case)
            if case["id"] in known:
                continue
            labels, pre = _read(asked, datalist, case, files[case["id"]], ignore)
            of_case = labeled[case["id"]]
            drawn, wanted = of_case.drawn(labels), of_case.wanted(labels.shape)
            taken[case["id"]] = of_case.merged(drawn), _change(case["id"], drawn, pre, wanted, datalist.labels)
        except UserError as fault:
            if fault.exit_code != REFUSED:
                raise
            faults.append(fault)
    if not taken:
        if len(faults) == 1:
            raise faults[0]
        raise _nothing_to_take(f"{corrected} holds no correction of a case of {query}", data, asked, known, faults)
    new = _with_labels(datalist, asked, {case: labels for case, (labels, _) in taken.items()}, output, ignore)
    if (data / "bundle" / BUNDLE_PAGE).is_file():
        shutil.copytree(data / "bundle", output / "bundle", dirs_exist_ok=True)
    changes = [change for _, change in taken.values()]
    write_text(output / CHANGES, _table(changes, datalist.labels))
    path = new.save(output / DATALIST)
    done = {*taken, *known, *(fault.case for fault in faults)}
    waiting = [case["id"] for case in chosen if case["id"] not in done]
    known = [case for case in known if case not in {fault.case for fault in faults}]
    return Taken(path, changes, waiting, faults, known, remark, next_command(asked, new, output), next_query(asked))


def _nothing_to_take(
    cause: str, data: Path, asked: ReadQuery, known: Sequence[str], faults: Sequence[UserError]
) -> UserError:
    """Why, and what to do: mend files that are refused, or save some, or nothing where all have been taken before."""
    cause += f" that {data} has no label of"
    if faults:
        cause += f": {len(faults)} files are refused, the first, {faults[0].case!r}, for this: {faults[0].cause}"
        return UserError("E523", cause, faults[0].cure)
    if len(known) == len(asked.chosen):
        return UserError("E523", cause, f"All of its cases are labeled there: go on with {data}")
    return UserError("E523", cause, "Save corrections there as ID.nii.gz, of pictures ID.png")


def _check_places(asked: ReadQuery, corrected: Path, output: Path) -> None:
    if corrected.resolve() == (asked.folder / PRE_ANNOTATIONS).resolve():
        cause = f"{corrected} is the query's own folder, so that nobody can tell what was corrected"
        raise UserError("E526", cause, "Save corrected files, and these alone, in another folder")
    if not corrected.is_dir():
        raise UserError("E521", f"the folder of corrections {corrected} does not exist", "Correct the path")
    if (output / DATALIST).exists():
        raise UserError("E522", f"{output} holds a dataset", "Give another --output")


def _datalist(asked: ReadQuery, data: Path) -> tuple[Datalist, str]:
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


def _checked_ignore(datalist: Datalist, ignore: Sequence[int]) -> tuple[int, ...]:
    """The codes given and those of the dataset (E524 where one is a class)."""
    classes = set(datalist.codes or datalist.labels)
    if of_class := [code for code in ignore if code in classes]:
        cause = f"--ignore {of_class[0]} is the code of a class ({', '.join(map(str, sorted(classes)))})"
        raise UserError("E524", cause, "Mark what nobody looked at by a code that no class has")
    return tuple(dict.fromkeys([*ignore, *(code for code in datalist.ignore if code not in classes)]))


def _files(asked: ReadQuery, corrected: Path) -> tuple[dict[str, Path], list[UserError]]:
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


def _read(
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


def _check_listed(datalist: Datalist, asked: ReadQuery, case: Mapping[str, Any]) -> None:
    """Refuse a case whose id the datalist gives another image (E207)."""
    image = asked.path(case, "image")
    assert image is not None  # as `read_query` has checked
    for section in (*TRAINING, "validation", "test"):
        for listed in datalist.sections.get(section, []):
            if listed["id"] == case["id"] and Path(listed["image"]).resolve() != image.resolve():
                cause = f"{image} was asked, and {datalist.source} lists {listed['image']} by this id"
                raise UserError("E207", cause, "Give the dataset that was asked by --data", case=case["id"])


def _change(
    case: str, labels: np.ndarray, pre: np.ndarray | None, wanted: np.ndarray, names: Mapping[int, str]
) -> Change:
    known = labels != IGNORED
    ignored = int(np.count_nonzero(wanted & ~known))
    if pre is None:
        return Change(case, int(np.count_nonzero(known & (labels > 0))), {}, ignored)
    codes = [code for code in names if code]
    before, after = np.where(known, pre, 0), np.where(known, labels, 0)
    dices = dict(zip([names[code] for code in codes], dice_by_class(before, after, codes), strict=True))
    return Change(case, int(np.count_nonzero(before != after)), dices, ignored)


def _with_labels(
    datalist: Datalist, asked: ReadQuery, taken: Mapping[str, np.ndarray], output: Path, ignore: Sequence[int]
) -> Datalist:
    """The datalist with new labels, whose files are written."""
    sections = ("labeled", "unlabeled", "pseudo")  # what is labeled in part may be asked for more
    listed = {case["id"]: case for section in sections for case in datalist.sections.get(section, [])}
    labeled: dict[str, Case] = {}
    marks = datalist.ignore
    if ignore and not marks:
        marks = (_mark(datalist, ignore),)
    for case in asked.chosen:
        if case["id"] not in taken or case["id"] in labeled:
            continue
        source = asked.path(case, "image")
        assert source is not None  # as `read_query` has checked
        entry = {**listed.get(case["id"], {"id": case["id"], "image": os.path.normpath(os.path.abspath(source))})}
        entry.pop("confidence", None)
        path = label_file(output / "labels", case["id"], entry["image"])
        labeled[case["id"]] = {**entry, "label": os.path.abspath(path)}
    new = dict(datalist.sections)
    before = [labeled.get(case["id"], case) for case in new.get("labeled", [])]
    there = {case["id"] for case in before}
    new["labeled"] = [*before, *(case for name, case in labeled.items() if name not in there)]
    for section in ("unlabeled", "pseudo", "hidden"):
        if section in new:
            new[section] = [case for case in new[section] if case["id"] not in taken]
    check_unique({"pseudo": [], **new}, output / DATALIST)
    for case in labeled.values():
        _write(Path(case["label"]), taken[case["id"]], datalist, marks, case["image"])
    return replace(datalist, sections=new, ignore=marks)


def _mark(datalist: Datalist, ignore: Sequence[int]) -> int:
    """The code for what nobody looked at in label files: one that those which are there hold as nothing else.

    Pictures may hold 0 and white for the classes 0 and 1, and the greys of soft edges between them.

    Raises:
        UserError: E525, their greys leave none.
    """
    wanted = ignore[0] if datalist.as_source else IGNORED
    entries = [case for section in LABELED_BY_HAND for case in datalist.sections.get(section, [])]
    labels = [Path(case["label"]) for case in entries if is_picture(Path(case["label"]))]
    images = [case["image"] for section in TRAINING for case in datalist.sections.get(section, [])]
    if not labels and not any(is_picture(Path(image)) for image in images):
        return wanted
    free = {*range(IGNORED)} - {*WHITES, *(datalist.codes if datalist.as_source else ()), *datalist.labels}
    for path in labels:
        if not is_lossy(path):  # which is cut into black and white before marks are looked for
            free -= {int(grey) for grey in distinct_values(read_image(path, "label").array)}
    if not free:
        cause = f"the masks of {datalist.source} hold every grey, so that none can mark what nobody looked at"
        raise UserError("E525", cause, "Store masks of 0 and 1 as PNG, or annotate whole pictures without --ignore")
    return wanted if wanted in free else max(free)


def _write(path: Path, labels: np.ndarray, datalist: Datalist, marks: Sequence[int], image: str) -> None:
    """In the codes that the dataset's label files have."""
    codes = datalist.codes if datalist.as_source else ()
    affine = read_image(image, channels=True).affine
    write_labels(path, labels, affine, image, codes_with_mark(codes, marks[0] if marks else 0))


def _table(changes: Sequence[Change], names: Mapping[int, str]) -> str:
    classes = [name for code, name in names.items() if code]
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["id", "changed_voxels", "ignored_voxels", *(f"dice_{name}" for name in classes)])
    for change in changes:
        dices = [change.dice.get(name, float("nan")) for name in classes]
        table.writerow([change.case, change.voxels, change.ignored, *("" if d != d else f"{d:.6f}" for d in dices)])
    return stream.getvalue()
