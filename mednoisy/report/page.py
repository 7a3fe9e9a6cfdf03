"""The page that shows what runs have reached: one file, no network, made from the runs' own files alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import jinja2

import mednoisy
from mednoisy.evaluation.metrics import HIGHER_IS_BETTER, MAIN_METRICS, Row
from mednoisy.evaluation.statistics import case_values, paired_difference, summarise
from mednoisy.files import write_text
from mednoisy.report import wording
from mednoisy.report.figures import Plot, curves, dots_per_case
from mednoisy.report.pictures import PREDICTION_COLOUR, REFERENCE_COLOUR, load, pictures
from mednoisy.report.runs import Run, read_runs

MOST_SIDE_BY_SIDE = 3  # with more runs only one plane of each case is shown
VALIDATION = "val_dice_"  # what columns of progress.csv with validation figures begin with


def write_report(runs: Sequence[Path | str], output: Path | str, title: str | None = None) -> Path:
    """Write one self-contained page that shows a run, or compares several with the first of them.

    Args:
        runs: folders of finished runs (`report.runs` says what is read); the first is the baseline.
        output: path of the page.
        title: of the page; made from the dataset if not given.

    Returns:
        `output`.

    Raises:
        UserError: E401, E402 for a folder without a finished run; E2xx for a picture's file that cannot be read.
    """
    found = read_runs(runs)
    if not found:
        raise ValueError("a report needs at least one run")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mednoisy.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    write_text(output, environment.get_template("report.html").render(_content(found, title)))
    return Path(output)


def _content(runs: list[Run], title: str | None) -> dict:
    first = runs[0]
    unit = str(first.facts.get("spacing_unit", "mm"))
    figures = [summarise(run.metrics) for run in runs]
    differences = [paired_difference(first.metrics, run.metrics, "dice") for run in runs[1:]]
    if len(runs) == 1:
        sentences = [wording.standing(first, figures[0], unit)]
    else:
        sentences = [wording.verdict(run, first, gap) for run, gap in zip(runs[1:], differences, strict=True)]
    classes = sorted({int(row["class"]) for run in runs for row in run.metrics})
    return {
        "title": title or f"{first.facts.get('dataset', 'Segmentation')}: {_subject(runs)}",
        "sentences": sentences,
        "cards": _cards(figures[0], unit) if len(runs) == 1 else [],
        "headings": [wording.heading(metric, unit) for metric in MAIN_METRICS],
        "tables": [
            _score_table(runs, checkpoint) for checkpoint in wording.CHECKPOINTS if _tells_more(runs, checkpoint)
        ],
        "per_class": _class_table(runs, classes) if len(classes) > 1 else [],
        "differences": [_difference_row(first, run) for run in runs[1:]],
        "baseline": first.name,
        "several": len(runs) > 1,
        "plots": _plots(runs, unit),
        "cases": _case_pictures(runs),
        "colours": {"reference": REFERENCE_COLOUR, "prediction": PREDICTION_COLOUR},
        "rows": _case_rows(runs),
        "run_names": [run.name for run in runs],
        "facts": _facts(runs),
        "undefined": [line for run in runs for line in _undefined(run)],
        "versions": _versions(runs),
        "unit": unit,
        "version": mednoisy.__version__,
    }


def _subject(runs: list[Run]) -> str:
    return runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared"


def _cards(figures: dict, unit: str) -> list[dict]:
    return [
        {
            "heading": wording.heading(metric, unit),
            "mean": wording.number(figures["all"][metric]["mean"], metric),
            "interval": wording.interval(figures["all"][metric]["interval"], metric),
            "median": wording.number(figures["all"][metric]["median"], metric),
            "undefined": figures["all"][metric]["undefined"],
        }
        for metric in MAIN_METRICS
    ]


def _score_table(runs: list[Run], checkpoint: str) -> dict:
    """One line for each run and predictor at one checkpoint; no lines where no run has it."""
    lines = []
    for run in runs:
        scores = [row for row in run.scores if row["checkpoint"] == checkpoint]
        for place, predictor in enumerate(dict.fromkeys(str(row["predictor"]) for row in scores)):
            figures = summarise([row for row in scores if row["predictor"] == predictor])
            lines.append(
                {
                    "run": "" if place else run.name,
                    "predictor": predictor,
                    "deployed": predictor == run.deployed,
                    "cells": _cells(figures["all"]),
                    "cases": figures["cases"],
                    "step": wording.fact(_step(run, checkpoint)),
                    "steps": wording.fact(run.facts.get("steps")),
                    "time": wording.duration(run.facts.get("seconds")),
                }
            )
    return {"name": checkpoint, "meaning": wording.meaning(checkpoint, runs), "lines": lines}


def _tells_more(runs: list[Run], checkpoint: str) -> bool:
    """Whether a checkpoint is another than the honest one, shown first, in any run."""
    return checkpoint == "honest" or any(_step(run, checkpoint) != _step(run, "honest") for run in runs)


def _step(run: Run, checkpoint: str) -> int | None:
    return run.summary.get("checkpoints", {}).get(checkpoint, {}).get("step")


def _cells(figures: dict) -> list[dict]:
    return [
        {
            "mean": wording.number(figures[metric]["mean"], metric),
            "interval": wording.interval(figures[metric]["interval"], metric),
            "undefined": figures[metric]["undefined"],
        }
        for metric in MAIN_METRICS
    ]


def _class_table(runs: list[Run], classes: list[int]) -> list[dict]:
    lines = []
    for run in runs:
        figures = summarise(run.metrics)["classes"]
        lines += [
            {"run": run.name, "class": run.class_name(code), "cells": _cells(figures[str(code)])}
            for code in classes
            if str(code) in figures
        ]
    return lines


def _difference_row(first: Run, run: Run) -> dict:
    gaps = {metric: paired_difference(first.metrics, run.metrics, metric) for metric in MAIN_METRICS}
    return {
        "run": run.name,
        "cells": [
            {
                "difference": wording.number(gap["difference"], metric, signed=True),
                "interval": wording.interval(gap["interval"], metric, signed=True),
                "p": wording.probability(gap["p"]),
                "wins": f"{gap['better']} / {gap['tied']} / {gap['worse']}",
                "left_out": gap["undefined"] + gap["unpaired"],
            }
            for metric, gap in gaps.items()
        ],
    }


def _plots(runs: list[Run], unit: str) -> list[Plot]:
    plots = []
    for metric in ("dice", "hd95"):
        values = _series(runs, metric)
        label = wording.heading(metric, unit)
        words = f"{label} of every test case, a dot each for {', '.join(values)}"
        shown = {name: {c: 100 * v if metric == "dice" else v for c, v in of.items()} for name, of in values.items()}
        if any(not math.isnan(value) for of_case in shown.values() for value in of_case.values()):
            plots.append(dots_per_case(shown, label, words, higher_is_better=metric in HIGHER_IS_BETTER))
    validation = {name: line for run in runs for name, line in _validation_curves(run, len(runs) > 1).items()}
    if validation:
        plots.append(curves(validation, "Dice % on validation cases", f"Learning curves of {', '.join(validation)}"))
    terms = _term_curves(runs[0]) if len(runs) == 1 else {}
    if terms:
        plots.append(curves(terms, "loss terms", f"Loss terms while training: {', '.join(terms)}", logarithmic=True))
    return plots


def _series(runs: list[Run], metric: str) -> dict[str, dict[str, float]]:
    """What the plots per case compare: several runs, or the predictors of one."""
    if len(runs) > 1:
        return {run.name: case_values(run.metrics, metric) for run in runs}
    honest = [row for row in runs[0].scores if row["checkpoint"] == "honest"]
    predictors = list(dict.fromkeys(str(row["predictor"]) for row in honest))
    predictors.sort(key=lambda name: name != runs[0].deployed)
    rows_of = {name: [row for row in honest if row["predictor"] == name] for name in predictors}
    return {name: case_values(rows, metric) for name, rows in rows_of.items()}


def _validation_curves(run: Run, several: bool) -> dict[str, tuple[list[float], list[float]]]:
    names = {column for row in run.progress for column in row if column.startswith(VALIDATION)}
    deployed = f"{VALIDATION}{run.deployed}"
    if several and deployed in names:
        names = {deployed}
    lines = {}
    for column in sorted(names, key=lambda name: (name != deployed, name)):
        predictor = column.removeprefix(VALIDATION)
        label = run.name if several and len(names) == 1 else f"{run.name}, {predictor}" if several else predictor
        steps, values = _column(run, column)
        lines[label] = (steps, [100 * value for value in values])
    return lines


def _term_curves(run: Run) -> dict[str, tuple[list[float], list[float]]]:
    """Loss terms, which are the columns named `student/term`, where they are above 0."""
    names = dict.fromkeys(column for row in run.progress for column in row if column and "/" in column)
    lines = {name: _column(run, name) for name in names}
    return {name: line for name, line in lines.items() if line[1] and min(line[1]) > 0}


def _column(run: Run, name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in run.progress if row.get(name)]
    return [float(row["step"]) for row in rows], [float(row[name]) for row in rows]


def _chosen(runs: list[Run]) -> dict[str, tuple[str, float]]:
    """Best, median and worst case by the Dice averaged over runs, of those that all runs have."""
    values = [case_values(run.metrics, "dice") for run in runs]
    shared = [case for case in values[0] if all(not math.isnan(of.get(case, math.nan)) for of in values)]
    means = sorted(((sum(of[case] for of in values) / len(values), case) for case in shared), reverse=True)
    picked = {"Best": 0, "Median": len(means) // 2, "Worst": len(means) - 1}
    chosen: dict[str, tuple[str, float]] = {}
    for name, place in picked.items():
        if means and means[place][1] not in {case for case, _ in chosen.values()}:
            chosen[name] = (means[place][1], means[place][0])
    return chosen


def _case_pictures(runs: list[Run]) -> list[dict]:
    planes = ("axial", "coronal", "sagittal") if len(runs) <= MOST_SIDE_BY_SIDE else ("axial",)
    shown = []
    for rank, (case, mean) in _chosen(runs).items():
        strips = []
        for run in runs:
            files = run.files_of(case)
            absent = [part for part in ("reference", "prediction") if part not in files or not files[part].exists()]
            here = {part: path for part, path in files.items() if path.exists()}
            made = [] if absent else pictures(load(here, case), f"{case}, {run.name}", 380, planes)
            strips.append(
                {
                    "run": run.name,
                    "dice": wording.number(case_values(run.metrics, "dice")[case], "dice"),
                    "hd95": wording.number(case_values(run.metrics, "hd95")[case], "hd95"),
                    "pictures": made,
                    "absent": " and ".join(absent),
                    "no_image": "image" not in here,
                }
            )
        shown.append({"rank": rank, "case": case, "mean": wording.number(mean, "dice"), "strips": strips})
    return shown


def _case_rows(runs: list[Run]) -> list[dict]:
    """One line for each case and class with the main metrics of every run."""
    by_key: dict[tuple[str, int], dict[str, Row]] = {}
    for run in runs:
        for row in run.metrics:
            by_key.setdefault((str(row["case"]), int(row["class"])), {})[run.name] = row
    metrics = MAIN_METRICS if len(runs) == 1 else ("dice", "hd95")
    return [
        {
            "case": case,
            "class": runs[0].class_name(code),
            "cells": [wording.number(_value(of_run.get(run.name), m), m) for run in runs for m in metrics],
        }
        for (case, code), of_run in by_key.items()
    ]


def _value(row: Row | None, metric: str) -> float | None:
    return None if row is None else float(row[metric])


def _facts(runs: list[Run]) -> list[dict]:
    names = dict.fromkeys(name for run in runs for name in run.facts if name not in wording.NOT_IN_THE_LIST)
    facts = [{"name": name.replace("_", " "), "values": [_fact(run, name) for run in runs]} for name in names]
    facts.append({"name": "deployed predictor", "values": [run.deployed for run in runs]})
    return [*facts, {"name": "folder", "values": [run.folder.name for run in runs]}]


def _fact(run: Run, name: str) -> str:
    value = run.facts.get(name)
    return wording.duration(value) if name == "seconds" else wording.fact(value)


def _undefined(run: Run) -> list[str]:
    lines = []
    for row in run.metrics:
        open_metrics = [wording.NAMES[metric] for metric in MAIN_METRICS if math.isnan(float(row[metric]))]
        if open_metrics:
            lines.append(f"{run.name}: {row['case']}, {run.class_name(int(row['class']))}: {', '.join(open_metrics)}")
    return lines


def _versions(runs: list[Run]) -> str:
    found = {f"{name} {version}" for run in runs for name, version in run.summary.get("versions", {}).items()}
    return ", ".join(sorted(found))
