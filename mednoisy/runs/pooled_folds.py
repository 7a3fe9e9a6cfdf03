"""The figures of a cross-validated run: every labeled case once, scored by the one network that had not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import SOURCE
from mednoisy.engines.progress_log import TIMES
from mednoisy.engines.run_figures import PACKAGES, checkpoint_figures
from mednoisy.engines.run_folder import RunFolder
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.evaluation.metric_rows import COLUMNS, count_undefined
from mednoisy.evaluation.metrics import read_metrics, write_metrics
from mednoisy.evaluation.read_finished_run import FinishedRun, read_finished_run
from mednoisy.evaluation.regions import COLUMNS as REGION_COLUMNS
from mednoisy.evaluation.regions import FILE as REGIONS
from mednoisy.evaluation.summary_file import (
    CheckpointFigures,
    RunSummary,
    ScoredCase,
    package_versions,
    write_summary,
)
from mednoisy.report.number_format import counted
from mednoisy.report.tables.expected_table import NO_CASE


def write_pooled(run_folder: RunFolder, folds: Sequence[Path], datalist: Datalist, predicted: int = 0) -> None:
    """Write `metrics.csv`, `scores.csv` and `summary.json` of all folds together, as any run has them.

    Where the datalist names regions also `regions.csv`.

    Args:
        run_folder: of the cross-validated run.
        folds: folders of the folds' finished runs, inside that one.
        datalist: of the whole run; cases stand in the order of its labeled section.
        predicted: of how many unlabeled cases the networks together have made a label map.

    Raises:
        UserError: E402 or E401, a fold is not finished or damaged; E373, folds count distances in different units.
    """
    runs = [read_finished_run(fold) for fold in folds]
    _check_units(runs)
    labeled = {case["id"]: case for case in datalist.cases("labeled")}
    place = {name: number for number, name in enumerate(labeled)}
    summary = runs[0].summary
    rows = [row for run in runs for row in run.scores]
    kinds = list(dict.fromkeys((row["checkpoint"], row["predictor"]) for row in rows))
    rows.sort(key=lambda row: (kinds.index((row["checkpoint"], row["predictor"])), place[str(row["case"])]))
    shown = [row for row in rows if (row["checkpoint"], row["predictor"]) == (summary.shown, summary.deployed)]
    write_metrics(run_folder.path / "scores.csv", rows, ("checkpoint", "predictor", *COLUMNS))
    write_metrics(run_folder.path / "metrics.csv", shown, COLUMNS)
    if datalist.regions:
        regions = [row for fold in folds for row in read_metrics(fold / REGIONS)]
        regions.sort(key=lambda row: (kinds.index((row["checkpoint"], row["predictor"])), place[str(row["case"])]))
        write_metrics(run_folder.path / REGIONS, regions, ("checkpoint", "predictor", *REGION_COLUMNS))
    cases = [
        _seen_from(run_folder.path, run, case, labeled[case.id]["label"], labeled[case.id]["image"])
        for run in runs
        for case in run.summary.cases
    ]
    cases.sort(key=lambda case: place[case.id])
    write_summary(
        run_folder.path,
        RunSummary(
            facts={**_facts(run_folder, runs, datalist), "predicted": _predicted(predicted, len(runs))},
            labels=summary.labels,
            deployed=summary.deployed,
            shown=summary.shown,
            checkpoints={
                name: CheckpointFigures(figures.step, checkpoint_figures(rows, name, cases))
                for name, figures in summary.checkpoints.items()
            },
            undefined=count_undefined(shown),
            cases=tuple(cases),
            versions=package_versions(PACKAGES),
        ),
    )


def _check_units(runs: Sequence[FinishedRun]) -> None:
    for number, run in enumerate(runs):
        if run.summary.unit != runs[0].summary.unit:
            cause = f"distances of fold 0 are in {runs[0].summary.unit}, those of fold {number} in {run.summary.unit}"
            cure = "Let all label files state the size of their voxels, or none, and train again"
            raise UserError("E373", cause, cure, exit_code=DONE_IN_PART)


def _seen_from(folder: Path, run: FinishedRun, case: ScoredCase, reference: str, image: str) -> ScoredCase:
    """A fold's case with paths that lead to its files from the whole run's folder, wherever the data are now."""
    prediction = (run.folder / case.prediction).relative_to(folder).as_posix()
    return replace(case, prediction=prediction, reference=reference, image=image)


def _facts(run_folder: RunFolder, runs: Sequence[FinishedRun], datalist: Datalist) -> dict[str, Any]:
    of_folds = [run.summary.facts for run in runs]
    centres: dict[str, Any] = {}
    if any("centres_in_training" in facts for facts in of_folds):
        # A centre of one patient is never seen by the network that scores it.
        seen = set.intersection(*(set(facts.get("centres_in_training", ())) for facts in of_folds))
        centres = {"centres_in_training": sorted(seen)}
    protocol = f"{len(runs)}-fold cross-validated, last checkpoints."
    return {
        **run_folder.facts,
        "held_out": sum(facts["test"] for facts in of_folds),
        "scored_section": "held-out",
        **centres,
        **({"ignored_codes": list(datalist.ignore)} if datalist.ignore else {}),
        **({"label_files": SOURCE} if datalist.codes and datalist.as_source else {}),
        **{name: round(sum(facts[name] for facts in of_folds), 1) for name in TIMES},
        "protocol": f"{protocol} {datalist.protocol}".strip(),
        "spacing_unit": runs[0].summary.unit,
    }


def _predicted(cases: int, folds: int) -> str:
    """What label maps there are, in words."""
    if not cases:
        return NO_CASE
    return f"{counted(cases, 'unlabeled case')} by the {folds} networks together, in the folder predictions"
