"""The folder of a query: `query.json`, `query.csv`, a page, and for each chosen case a pre-annotation to correct."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.members import KINDS
from mednoisy.active.pool import Pick
from mednoisy.active.regions import Regions, inside
from mednoisy.active.scoring import POOLING_REASONS, Scorer, largest_value
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import is_picture
from mednoisy.data.ignored_voxels import IGNORED, codes_with_mark, free_mark
from mednoisy.data.mask_greys import WHITES
from mednoisy.data.training_data import TrainingData
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.inference.label_map_files import label_file, write_grey, write_labels
from mednoisy.inference.prediction import predict_case, preprocessed, to_source_grid
from mednoisy.queries.query_with_run import Answer
from mednoisy.queries.question import Question
from mednoisy.queries.shared_scoring import OnFault, told_fault
from mednoisy.report.query_page import write_query_page
from mednoisy.report.reading.queries import COLUMNS, PRE_ANNOTATIONS, QUERY, TABLE, UNCERTAINTY, cases_digest
from mednoisy.runs.opened_run import OpenedRun

LISTED = 1000  # slices or boxes in the table that were not chosen
RUN_FACTS = (
    "dataset",
    "method",
    "recipe",
    "folds",
    "steps",
)  # of run.json, from which the next round's command is made


@dataclass(frozen=True)
class Asked:
    """Of what was asked, for the record.

    Attributes:
        dataset: its name.
        labels: name of each class; background alone where nothing is known of them.
        codes: the source's code of each class in label maps; none where it is the class's own number.
        labeled: how many cases have labels already.
        split: `labeled` and `validation` that the run took of its datalist, so that `annotate` takes the same.
        digest: `cases_digest` of the datalist under that split, so that `annotate` knows it again.
        ignore: codes that the dataset ignores.
    """

    dataset: str
    labels: Mapping[int, str]
    codes: tuple[int, ...]
    labeled: int
    split: Mapping[str, Any]
    digest: str
    ignore: tuple[int, ...] = ()


def write_query(
    output: Path,
    question: Question,
    answer: Answer,
    asked: Asked,
    run: OpenedRun | None = None,
    features_of: OpenedRun | None = None,
    faults: Sequence[UserError] = (),
    on_fault: OnFault | None = None,
) -> Path:
    """Write the folder; the path of the page.

    Args:
        output: the folder, made already.
        faults: why cases were left out while scoring.
        on_fault: is given why a chosen case got no pre-annotation; None: it ends the work.

    Raises:
        UserError: E2xx, a chosen case cannot be read; E320, the disk is full.
    """
    failed = list(faults)
    cases = {case["id"]: case for case in map(answer.case_of, answer.picks)}
    mark = _mark(answer, asked) if answer.regions is not None else None
    files: dict[str, dict[str, str]] = {}
    for name, case in tqdm(cases.items(), desc="pre-annotate", unit="case", disable=None if answer.scorer else True):
        if run is not None and answer.scorer is not None:
            with told_fault(on_fault) as refused:
                files[name] = _written_maps(output, case, run, answer.scorer, _corners(answer, name), mark)
            failed += refused
    chosen = [_chosen(pick, answer, files, output) for pick in answer.picks]
    content = _content(question, answer, asked, run, features_of) | {
        "ignore": mark,
        "chosen": chosen,
        "failed": [{"id": fault.case, "reason": f"{fault.code} {fault.cause}"} for fault in failed],
    }
    write_text(output / TABLE, _table(answer, chosen, output))
    write_text(output / QUERY, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return write_query_page(output)


def _mark(answer: Answer, asked: Asked) -> int:
    """The code in pre-annotations for what is not asked for: that which the dataset ignores, if no class has it."""
    pictures = any(is_picture(Path(case["image"])) for case in answer.cases)
    return free_mark(asked.ignore, {*asked.labels, *asked.codes}, WHITES if pictures else ())


def _corners(answer: Answer, case: str) -> list[tuple[list[int], list[int]]]:
    """Of the regions of a case that were chosen; none of whole cases."""
    regions = answer.regions
    if regions is None:
        return []
    return [regions.corners(pick.index) for pick in answer.picks if answer.case_of(pick)["id"] == case]


def _written_maps(
    output: Path,
    case: Case,
    run: OpenedRun,
    scorer: Scorer,
    corners: Sequence[tuple[Sequence[int], Sequence[int]]],
    mark: int | None,
) -> dict[str, str]:
    """Paths, relative to the folder, of the label map that the run predicts, as `mednoisy predict` would write it, and
    of the map of uncertainty: 8 bits, 255 for `largest_value`. With a mark the label map holds it but for `corners`."""
    assert run.deployed is not None  # or there were no scorer
    trained_on = TrainingData.load((folds_of(run.folder) or [run.folder])[0])
    predicted = predict_case(
        case, {run.deployed: run.network}, run.preprocessing, run.inferer, run.device, trained_on=trained_on
    )
    image = preprocessed(case, run.preprocessing)
    probabilities, doubt = scorer.maps(image.as_tensor().to(run.device), case["id"])
    on_source = to_source_grid(doubt[None], image, run.preprocessing)[0].numpy()
    shades = np.rint(255 * np.clip(on_source / largest_value(scorer.map_name, len(probabilities)), 0, 1))
    paths = {
        "pre_annotation": label_file(output / PRE_ANNOTATIONS, case["id"], case["image"]),
        "uncertainty": label_file(output / UNCERTAINTY, case["id"], case["image"]),
    }
    labels, codes = predicted.labels[run.deployed], list(run.codes)
    if mark is not None:
        labels = np.where(inside(labels.shape, corners), labels, IGNORED)
        codes = codes_with_mark(run.codes, mark)
    write_labels(paths["pre_annotation"], labels, predicted.affine, case["image"], codes)
    write_grey(paths["uncertainty"], shades.astype(np.uint8), predicted.affine)
    return {name: path.relative_to(output).as_posix() for name, path in paths.items()}


def _chosen(pick: Pick, answer: Answer, files: Mapping[str, Mapping[str, str]], output: Path) -> dict[str, Any]:
    case = answer.case_of(pick)
    patient = {"patient": case["patient"]} if "patient" in case else {}
    image = _beside(case["image"], output)
    score = pick.score if np.isfinite(pick.score) else None  # JSON has no infinity, as the logarithm of no doubt is
    entry = {"id": case["id"], "score": score, "reason": pick.reason, "image": image, **patient}
    return entry | _place(answer.regions, pick.index) | dict(files.get(case["id"], {}))


def _place(regions: Regions | None, row: int) -> dict[str, Any]:
    """Where a slice or a box lies, in voxels of the image's file and in the order of its axes."""
    if regions is None:
        return {}
    start, stop = regions.corners(row)
    axis = int(regions.axis[row])
    return ({"axis": axis, "slice": start[axis]} if axis >= 0 else {}) | {"start": start, "stop": stop}


def _beside(image: str, output: Path) -> str:
    """The path that leads from the folder to an image."""
    return Path(os.path.relpath(image, output)).as_posix()


def _content(
    question: Question, answer: Answer, asked: Asked, run: OpenedRun | None, features_of: OpenedRun | None
) -> dict[str, Any]:
    entry, scorer = STRATEGIES[question.strategy], answer.scorer
    scored = scorer is not None and scorer.members is not None
    needs_features = features_of is not None and "features" in entry.needs
    facts = {} if run is None else {name: _run_facts(run.folder).get(name) for name in RUN_FACTS}
    return {
        "strategy": question.strategy,
        "oracle": entry.oracle,
        "budget": question.budget,
        "seed": question.seed,
        "number": question.number,
        "rounds": question.rounds,
        "dataset": asked.dataset,
        "labels": {str(code): name for code, name in asked.labels.items()},
        "codes": list(asked.codes),
        "unit": question.unit,
        "box": list(question.box),
        "same_patient": question.same_patient,
        "per_patient": question.per_patient,
        "pool": len(answer.cases if answer.regions is None else answer.regions),
        "labeled": asked.labeled,
        "split": dict(asked.split),
        "split_digest": asked.digest,
        "run": str(run.folder) if run is not None else None,
        "run_facts": {name: value for name, value in facts.items() if value is not None},
        "features_of": str(features_of.folder) if needs_features and features_of is not None else None,
        "features": dict(features_of.facts) if needs_features and features_of is not None else None,
        "members": KINDS[scorer.members.kind] if scorer is not None and scorer.members is not None else None,
        "map": scorer.map_name if scorer is not None and scored else None,
        "uncertainty_white": largest_value(scorer.map_name, len(asked.labels)) if scorer is not None else None,
        "pooling": scorer.pooling if scorer is not None and "uncertainty" in entry.needs else None,
        "pooling_reason": POOLING_REASONS[scorer.pooling]
        if scorer is not None and "uncertainty" in entry.needs
        else None,
    }


def _run_facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return facts


def _table(answer: Answer, chosen: Sequence[Mapping[str, Any]], output: Path) -> str:
    """What was chosen by rank, then the rest by its uncertainty, highest first, where there is one.

    Of the slices or boxes that were not chosen the first `LISTED`: there may be a million.
    """
    regions, values = answer.regions, answer.uncertainty
    count = len(answer.cases if regions is None else regions)
    known = np.zeros(count) if values is None else np.asarray(values, np.float64)
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
    table.writeheader()

    def write(row: int, rank: int | str, entry: Mapping[str, Any]) -> None:
        corners = {name: " ".join(map(str, entry[name])) for name in ("start", "stop") if name in entry}
        doubt = {"uncertainty": "" if values is None else known[row]}
        table.writerow({"rank": rank, **entry, **corners, **doubt})

    for rank, (pick, entry) in enumerate(zip(answer.picks, chosen, strict=True), 1):
        write(pick.index, rank, entry)
    taken = {pick.index for pick in answer.picks}
    case_of = range(count) if regions is None else regions.case
    ids = np.array([case["id"] for case in answer.cases])
    order = np.argsort(-known, kind="stable") if regions is not None else np.lexsort((ids, -known))
    rest = [int(row) for row in order[: None if regions is None else LISTED + len(taken)] if row not in taken]
    for row in rest if regions is None else rest[:LISTED]:
        case = answer.cases[int(case_of[row])]
        write(row, "", {**case, "image": _beside(case["image"], output)} | _place(regions, row))
    return stream.getvalue()


def asked_of(datalist: Datalist, split: Mapping[str, Any] | None = None) -> Asked:
    """What a datalist says; of one that a fold was taken of, the digest is that of the whole."""
    split = split or {}
    whole = datalist
    if datalist.source is not None:
        whole = Datalist.load(datalist.source, split.get("labeled"), split.get("validation") or 0)
    labeled = len(datalist.cases("labeled"))
    digest = cases_digest(whole)
    return Asked(datalist.name, datalist.labels, datalist.codes, labeled, split, digest, datalist.ignore)
