"""What runs reached, as plain values for a page: cards, checkpoints, classes, further metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.statistics import summarise
from mednoisy.report.checkpoint_names import CHOICES, any_validated, checkpoint_name, choice
from mednoisy.report.metric_names import METRIC_NAMES, VOLUMES, heading, volume_unit
from mednoisy.report.number_format import duration, fact, interval, number
from mednoisy.report.reading.runs import Run, class_names

NOTHING: Mapping = {"mean": None, "median": None, "interval": None, "undefined": 0}  # of a metric that no case has


def score_cell(figures: Mapping, metric: str) -> dict:
    """A metric's `mean`, `interval` and number of `undefined` values, from what `summarise` gives for it."""
    return {
        "mean": number(figures["mean"], metric),
        "interval": interval(figures["interval"], metric),
        "undefined": figures["undefined"],
    }


def score_cells(figures: Mapping[str, Mapping], metrics: Sequence[str] = MAIN_METRICS) -> list[dict]:
    """A cell for each metric; – for one that `figures` lack."""
    return [score_cell(figures.get(metric, NOTHING), metric) for metric in metrics]


def score_cards(figures: Mapping, unit: str) -> list[dict]:
    """The main metrics of one run, large: `heading`, `median` and the entries of `score_cell`."""
    return [
        {
            "heading": heading(metric, unit),
            "median": number(figures["all"].get(metric, NOTHING)["median"], metric),
            **cell,
        }
        for metric, cell in zip(MAIN_METRICS, score_cells(figures["all"]), strict=True)
    ]


def score_tables(runs: Sequence[Run], figures: Sequence[Mapping]) -> list[dict]:
    """First the checkpoints that the runs show, then every other one that tells more.

    None of a lone run with a single line, for its cards say the same.

    Args:
        runs: as read.
        figures: what `summarise` gives for the metrics of each run.
    """
    known = {run.name: of_run for run, of_run in zip(runs, figures, strict=True)}
    shown = list(dict.fromkeys(run.shown for run in runs))
    tables = [_score_table(runs, {run.name: run.shown for run in runs}, shown, known)]
    for checkpoint in CHOICES:
        others = [
            run for run in runs if run.shown != checkpoint and run.step(checkpoint) not in (None, run.step(run.shown))
        ]
        if others:
            tables.append(_score_table(others, {run.name: checkpoint for run in others}, [checkpoint], {}))
    if len(runs) == 1 and sum(len(table["lines"]) for table in tables) == 1:
        return []
    return [table for table in tables if table["lines"]]


def shown_checkpoints(runs: Sequence[Run]) -> str:
    """The names of the checkpoints that the runs show."""
    return _names(runs, list(dict.fromkeys(run.shown for run in runs)))


def _names(runs: Sequence[Run], checkpoints: Sequence[str]) -> str:
    validated = any_validated(runs)
    return " and ".join(checkpoint_name(checkpoint, validated=validated) for checkpoint in checkpoints)


def _score_table(
    runs: Sequence[Run], checkpoint_of: Mapping[str, str], checkpoints: Sequence[str], known: Mapping[str, Mapping]
) -> dict:
    """One line for each run and predictor at the run's checkpoint; `known` are the deployed predictors' figures."""
    lines = []
    for run in runs:
        checkpoint = checkpoint_of[run.name]
        scores = [row for row in run.scores if row["checkpoint"] == checkpoint]
        for place, predictor in enumerate(dict.fromkeys(str(row["predictor"]) for row in scores)):
            figures = known.get(run.name) if predictor == run.deployed else None
            figures = figures or summarise([row for row in scores if row["predictor"] == predictor])
            lines.append(
                {
                    "run": "" if place else run.name,
                    "predictor": predictor,
                    "deployed": predictor == run.deployed,
                    "cells": score_cells(figures["all"]),
                    "cases": figures["cases"],
                    "step": fact(run.step(checkpoint)),
                    "steps": fact(run.facts.get("steps")),
                    "time": duration(run.facts.get("seconds")),
                }
            )
    validated = any_validated(runs)
    meanings = (f"{name.capitalize()} means {choice(name, validated=validated)}." for name in checkpoints)
    return {
        "name": _names(runs, checkpoints),
        "meaning": " ".join(meanings),
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
            "cells": score_cells(of_run["classes"][str(code)]),
        }
        for run, of_run in zip(runs, figures, strict=True)
        for place, code in enumerate(run.classes)
    ]


def further_table(runs: Sequence[Run], figures: Sequence[Mapping], unit: str) -> dict:
    """Means of the metrics beyond the main ones that any run has."""
    metrics = [
        metric
        for metric in METRIC_NAMES
        if metric not in MAIN_METRICS and any(metric in of_run["all"] for of_run in figures)
    ]
    return {
        "headings": [_long_heading(metric, unit, runs[0]) for metric in metrics],
        "lines": [
            {"run": run.name, "cells": score_cells(of_run["all"], metrics)}
            for run, of_run in zip(runs, figures, strict=True)
        ],
    }


def _long_heading(metric: str, unit: str, run: Run) -> str:
    """A heading that says of volumes that they are some."""
    kind = ", area" if volume_unit(run).endswith("²") else ", volume"
    name = heading(metric, unit, volume_unit(run))
    return name.replace(" ", f"{kind} ", 1) if metric in VOLUMES else name
