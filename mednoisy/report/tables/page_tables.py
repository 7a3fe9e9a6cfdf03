"""The tables of a page as plain values: figures of runs, their classes, their cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mednoisy.evaluation.metrics import MAIN_METRICS, Row
from mednoisy.evaluation.statistics import summarise
from mednoisy.report import sentences as wording
from mednoisy.report.reading.runs import Run, class_names

NOTHING: Mapping = {"mean": None, "median": None, "interval": None, "undefined": 0}  # of a metric that no case has
USUAL_TOLERANCE = 1.0  # of NSD, in runs that state none
MOST_NAMED = 200  # undefined values that are named one by one


def cards(figures: Mapping, unit: str) -> list[dict]:
    """The main metrics of one run, large."""
    return [
        {
            "heading": wording.heading(metric, unit),
            "median": wording.number(figures["all"].get(metric, NOTHING)["median"], metric),
            **_cell(figures["all"], metric),
        }
        for metric in MAIN_METRICS
    ]


def score_tables(runs: Sequence[Run], figures: Sequence[Mapping]) -> list[dict]:
    """First the checkpoints that the runs show, then every other one that tells more.

    None of a lone run with a single line, for its cards say the same.

    Args:
        runs: as read.
        figures: what `summarise` gives for the metrics of each run.
    """
    known = {run.name: of_run for run, of_run in zip(runs, figures, strict=True)}
    names = list(dict.fromkeys(run.shown for run in runs))
    tables = [_score_table(runs, {run.name: run.shown for run in runs}, names, known)]
    for name in wording.CHECKPOINTS:
        others = [run for run in runs if run.shown != name and run.step(name) not in (None, run.step(run.shown))]
        if others:
            tables.append(_score_table(others, {run.name: name for run in others}, [name], {}))
    if len(runs) == 1 and sum(len(table["lines"]) for table in tables) == 1:
        return []
    return [table for table in tables if table["lines"]]


def _score_table(
    runs: Sequence[Run], checkpoints: Mapping[str, str], names: Sequence[str], known: Mapping[str, Mapping]
) -> dict:
    """One line for each run and predictor at the run's checkpoint; `known` are the deployed predictors' figures."""
    lines = []
    for run in runs:
        scores = [row for row in run.scores if row["checkpoint"] == checkpoints[run.name]]
        for place, predictor in enumerate(dict.fromkeys(str(row["predictor"]) for row in scores)):
            found = known.get(run.name) if predictor == run.deployed else None
            found = found or summarise([row for row in scores if row["predictor"] == predictor])
            lines.append(
                {
                    "run": "" if place else run.name,
                    "predictor": predictor,
                    "deployed": predictor == run.deployed,
                    "cells": [_cell(found["all"], metric) for metric in MAIN_METRICS],
                    "cases": found["cases"],
                    "step": wording.fact(run.step(checkpoints[run.name])),
                    "steps": wording.fact(run.facts.get("steps")),
                    "time": wording.duration(run.facts.get("seconds")),
                }
            )
    return {
        "name": " and ".join(names),
        "meaning": " ".join(f"{name.capitalize()} means {wording.meaning(name, runs)}." for name in names),
        "lines": lines,
        "trained": any("steps" in run.facts for run in runs),
    }


def class_table(runs: Sequence[Run], figures: Sequence[Mapping]) -> list[dict]:
    """One line for each run and class; none where there is one class only."""
    names = class_names(runs)
    if len(names) < 2:
        return []
    return [
        {
            "run": "" if place else run.name,
            "class": names[code],
            "cells": [_cell(of_run["classes"][str(code)], metric) for metric in MAIN_METRICS],
        }
        for run, of_run in zip(runs, figures, strict=True)
        for place, code in enumerate(run.classes)
    ]


def further_table(runs: Sequence[Run], figures: Sequence[Mapping], unit: str) -> dict:
    """Means of the metrics beyond the main ones that any run has."""
    metrics = [
        metric
        for metric in wording.NAMES
        if metric not in MAIN_METRICS and any(metric in of_run["all"] for of_run in figures)
    ]
    return {
        "headings": [_longer(metric, unit, runs[0]) for metric in metrics],
        "lines": [
            {"run": run.name, "cells": [_cell(of_run["all"], metric) for metric in metrics]}
            for run, of_run in zip(runs, figures, strict=True)
        ],
    }


def _longer(metric: str, unit: str, run: Run) -> str:
    kind = ", area" if wording.volume_unit(run).endswith("²") else ", volume"
    name = wording.heading(metric, unit, wording.volume_unit(run))
    return name.replace(" ", f"{kind} ", 1) if metric in wording.VOLUMES else name


def _cell(figures: Mapping, metric: str) -> dict:
    found = figures.get(metric, NOTHING)
    return {
        "mean": wording.number(found["mean"], metric),
        "interval": wording.interval(found["interval"], metric),
        "undefined": found["undefined"],
    }


def case_table(runs: Sequence[Run], unit: str) -> dict:
    """One line for each case and class: all metrics of one run, Dice and HD95 of several."""
    by_key: dict[tuple[str, int], dict[str, Row]] = {}
    for run in runs:
        for row in run.metrics:
            by_key.setdefault((str(row["case"]), int(row["class"])), {})[run.name] = row
    known = runs[0].metrics[0] if runs[0].metrics else {}
    every = [name for name in dict.fromkeys((*MAIN_METRICS, *wording.NAMES)) if name in known]
    metrics = every if len(runs) == 1 else ["dice", "hd95"]
    volume = wording.volume_unit(runs[0])
    names = class_names(runs)
    rows = []
    for (case, code), of_run in by_key.items():
        values = [(metric, of_run.get(run.name, {}).get(metric)) for run in runs for metric in metrics]
        cells = [{"value": _sorted_by(value), "shown": wording.number(_float(value), m)} for m, value in values]
        undefined = any(_sorted_by(value) == "" for _, value in values)
        rows.append({"case": case, "class": names[code], "cells": cells, "undefined": undefined})
    return {
        "headings": [wording.heading(metric, unit, volume) for metric in metrics],
        "rows": rows,
        "any_undefined": any(row["undefined"] for row in rows),
    }


def _float(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _sorted_by(value: object) -> str:
    """What a script sorts by: nothing where undefined."""
    return f"{value:.6g}" if isinstance(value, float) and not math.isnan(value) else ""


def fact_table(runs: Sequence[Run]) -> list[dict]:
    """What is known about how the runs came about, a line for each fact."""
    names = dict.fromkeys(name for run in runs for name in run.facts if name not in wording.NOT_IN_THE_LIST)
    lines = [{"name": name.replace("_", " "), "values": [_fact(run, name) for run in runs]} for name in names]
    if any("method" in run.facts for run in runs):
        lines.append({"name": "deployed predictor", "values": [run.deployed for run in runs]})
    return [*lines, {"name": "folder", "values": [run.folder.name for run in runs]}]


def _fact(run: Run, name: str) -> str:
    value = run.facts.get(name)
    return wording.duration(value) if name == "seconds" else wording.fact(value)


def doubts(runs: Sequence[Run]) -> list[str]:
    """What keeps figures of these runs from meaning the same: tolerances of NSD, names of classes."""
    found = []
    tolerances = {run.name: float(run.facts.get("tolerance", USUAL_TOLERANCE)) for run in runs}
    if len(set(tolerances.values())) > 1:
        listed = ", ".join(f"{value:g} {runs[0].unit} in {name}" for name, value in tolerances.items())
        found.append(f"NSD cannot be compared: its tolerance is {listed}.")
    for code, name in class_names(runs).items():
        called = {run.name: run.class_name(code) for run in runs if code in run.classes}
        if len(set(called.values())) > 1:
            listed = ", ".join(f"{other} in {run}" for run, other in called.items())
            found.append(f"Class {code} is {listed}; here it is called {name}.")
    return found


def undefined_values(runs: Sequence[Run]) -> dict:
    """Run, case and class of what is undefined, and how many more there are than are named."""
    lines, names = [], class_names(runs)
    for run in runs:
        for row in run.metrics:
            open_metrics = [wording.NAMES[metric] for metric in MAIN_METRICS if math.isnan(float(row[metric]))]
            if open_metrics:
                where = f"{row['case']}, {names[int(row['class'])]}"
                lines.append(f"{run.name}: {where}: {', '.join(open_metrics)}")
    return {"lines": lines[:MOST_NAMED], "more": max(0, len(lines) - MOST_NAMED)}


def versions(runs: Sequence[Run]) -> str:
    """Packages with the versions that made the figures."""
    found = {f"{name} {version}" for run in runs for name, version in run.summary.versions.items()}
    return ", ".join(sorted(found))
