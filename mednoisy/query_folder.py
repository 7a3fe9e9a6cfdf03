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
from mednoisy.active.scoring import POOLING_REASONS, Scorer, largest_value
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.training_data import TrainingData
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.inference.label_map_files import label_file, write_grey, write_labels
from mednoisy.inference.prediction import predict_case, preprocessed, to_source_grid
from mednoisy.opened_run import OpenedRun
from mednoisy.query_with_run import Answer, Question
from mednoisy.report.query_page import write_query_page
from mednoisy.report.reading.queries import COLUMNS, PRE_ANNOTATIONS, QUERY, TABLE, UNCERTAINTY, cases_digest
from mednoisy.scored_pool import OnFault, told_fault

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
    """

    dataset: str
    labels: Mapping[int, str]
    codes: tuple[int, ...]
    labeled: int
    split: Mapping[str, Any]
    digest: str


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
    by_id = {case["id"]: case for case in answer.cases}
    files: dict[str, dict[str, str]] = {}
    for pick in tqdm(answer.picks, desc="pre-annotate", unit="case", disable=None if answer.scorer else True):
        if run is not None and answer.scorer is not None:
            with told_fault(on_fault) as refused:
                files[pick.id] = _written_maps(output, by_id[pick.id], run, answer.scorer)
            failed += refused
    chosen = [_chosen(pick, by_id[pick.id], files.get(pick.id, {}), output) for pick in answer.picks]
    content = _content(question, answer, asked, run, features_of) | {
        "chosen": chosen,
        "failed": [{"id": fault.case, "reason": f"{fault.code} {fault.cause}"} for fault in failed],
    }
    write_text(output / TABLE, _table(answer, chosen, output))
    write_text(output / QUERY, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return write_query_page(output)


def _written_maps(output: Path, case: Case, run: OpenedRun, scorer: Scorer) -> dict[str, str]:
    """Paths, relative to the folder, of the label map that the run predicts, as `mednoisy predict` would write it, and
    of the map of uncertainty: 8 bits, 255 for `largest_value`."""
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
    write_labels(paths["pre_annotation"], predicted.labels[run.deployed], predicted.affine, case["image"], run.codes)
    write_grey(paths["uncertainty"], shades.astype(np.uint8), predicted.affine)
    return {name: path.relative_to(output).as_posix() for name, path in paths.items()}


def _chosen(pick: Pick, case: Case, files: Mapping[str, str], output: Path) -> dict[str, Any]:
    patient = {"patient": case["patient"]} if "patient" in case else {}
    image = _beside(case["image"], output)
    score = pick.score if np.isfinite(pick.score) else None  # JSON has no infinity, as the logarithm of no doubt is
    return {"id": pick.id, "score": score, "reason": pick.reason, "image": image, **patient, **files}


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
        "pool": len(answer.cases),
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
    """The chosen cases by rank, then the others by their uncertainty, highest first, where there is one."""
    values = answer.uncertainty
    uncertainty = {} if values is None else dict(zip([case["id"] for case in answer.cases], values, strict=True))
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for rank, case in enumerate(chosen, 1):
        table.writerow({"rank": rank, **case, "uncertainty": uncertainty.get(case["id"], "")})
    taken = {case["id"] for case in chosen}
    rest = [case for case in answer.cases if case["id"] not in taken]
    for case in sorted(rest, key=lambda case: (-float(uncertainty.get(case["id"], 0)), case["id"])):
        image = _beside(case["image"], output)
        table.writerow({**case, "image": image, "uncertainty": uncertainty.get(case["id"], "")})
    return stream.getvalue()


def asked_of(datalist: Datalist, split: Mapping[str, Any] | None = None) -> Asked:
    """What a datalist says; of one that a fold was taken of, the digest is that of the whole."""
    split = split or {}
    whole = datalist
    if datalist.source is not None:
        whole = Datalist.load(datalist.source, split.get("labeled"), split.get("validation") or 0)
    labeled = len(datalist.cases("labeled"))
    return Asked(datalist.name, datalist.labels, datalist.codes, labeled, split, cases_digest(whole))
