"""Corrected label maps taken back from an annotator: checked, compared with what was predicted, made a new datalist."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mednoisy.composition.catalogue import DATALIST
from mednoisy.composition.catalogue import PAGE as BUNDLE_PAGE
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import LABELED_BY_HAND, TRAINING, Case, check_unique
from mednoisy.data.file_formats import is_lossy, is_picture
from mednoisy.data.ignored_voxels import IGNORED, codes_with_mark
from mednoisy.data.images import distinct_values, read_image
from mednoisy.data.mask_greys import WHITES
from mednoisy.errors import REFUSED, UserError
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.files import write_text
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.queries.annotated_regions import RegionLabels, labels_of_regions
from mednoisy.queries.corrected_files import (
    check_listed,
    check_places,
    checked_ignore,
    corrected_files,
    datalist_of,
    read_correction,
)
from mednoisy.queries.next_round import next_command, next_query
from mednoisy.report.reading.queries import ReadQuery, read_query

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
    check_places(asked, Path(corrected), output)
    datalist, remark = datalist_of(asked, data)
    ignore = checked_ignore(datalist, [*ignore, *([] if asked.mark is None else [asked.mark])])
    chosen = list({case["id"]: case for case in asked.chosen}.values())  # each once, of several slices or boxes
    labeled = {case["id"]: labels_of_regions(asked, datalist, case["id"]) for case in chosen}
    known = [name for name, of_case in labeled.items() if of_case.known]
    files, faults = corrected_files(asked, Path(corrected))
    taken: dict[str, tuple[np.ndarray, Change]] = {}
    for case in (case for case in chosen if case["id"] in files):
        try:
            check_listed(datalist, asked, case)
            if case["id"] not in known:
                read = read_correction(asked, datalist, case, files[case["id"]], ignore)
                taken[case["id"]] = _taken(case["id"], labeled[case["id"]], *read, datalist.labels)
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


def _taken(
    case: str, of_case: RegionLabels, labels: np.ndarray, pre: np.ndarray | None, names: Mapping[int, str]
) -> tuple[np.ndarray, Change]:
    """The labels of a case, those of earlier rounds among them, and what was changed in what was asked for."""
    drawn, wanted = of_case.drawn(labels), of_case.wanted(labels.shape)
    return of_case.merged(drawn), _change(case, drawn, pre, wanted, names)


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
