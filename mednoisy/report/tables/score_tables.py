"""What runs reached, as plain values for a page: cards, checkpoints, classes, further metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.metrics import DISTANCES, MAIN_METRICS
from mednoisy.report.checkpoint_names import CHOICES, any_validated, checkpoint_name, choice
from mednoisy.report.metric_names import METRIC_NAMES, VOLUMES, heading, volume_unit
from mednoisy.report.number_format import UNDEFINED, duration, fact, interval, number
from mednoisy.report.reading.runs import Run, class_names

NOTHING = MetricFigures(None, None, None, None, None, 0, 0)  # of a metric that no case has


def score_cell(figures: MetricFigures, metric: str) -> dict:
    """A metric's `mean` and `interval`, the number of `undefined` values and, of distances with any, `penalised`.

    The penalised mean is `not known` where a case that misses something does not tell how large its image is.
    """
    missed = metric in DISTANCES and figures.undefined > 0
    known = figures.penalised is not None
    return {
        "mean": number(figures.mean, metric),
        "interval": interval(figures.interval, metric),
        "undefined": figures.undefined,
        "penalised": (number(figures.penalised, metric) if known else "not known") if missed else "",
    }


def score_cells(figures: Mapping[str, MetricFigures], metrics: Sequence[str] = MAIN_METRICS) -> list[dict]:
    """A cell for each metric; – for one that `figures` lack. What distances lack, `undefined_distances` counts."""
    cells = [(metric, score_cell(figures.get(metric, NOTHING), metric)) for metric in metrics]
    return [cell | ({"undefined": 0} if metric in DISTANCES else {}) for metric, cell in cells]


def undefined_distances(figures: Mapping[str, MetricFigures], pairs: int) -> str:
    """How many of so many distances are undefined, such as `7 of 84`: the same for every distance; – of none."""
    known = next((figures[metric].undefined for metric in DISTANCES if metric in figures), None)
    return UNDEFINED if known is None else f"{known} of {pairs}"


def score_cards(figures: PredictorFigures, unit: str) -> list[dict]:
    """The main metrics of one run, large: `heading`, `median`, how many values are `missing`, and `score_cell`."""
    cards = []
    for metric in MAIN_METRICS:
        known = figures.over_classes.get(metric, NOTHING)
        missing = f"{known.undefined} of {figures.pairs} undefined" if known.undefined else ""
        card = {"heading": heading(metric, unit), "median": number(known.median, metric), "missing": missing}
        cards.append(card | score_cell(known, metric))
    return cards


def score_tables(runs: Sequence[Run], figures: Sequence[PredictorFigures]) -> list[dict]:
    """First the checkpoints that the runs show, then every other one that tells more.

    None of a lone run with a single line, for its cards say the same.

    Args:
        runs: as read.
        figures: of each run, `Run.figures`.
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
    runs: Sequence[Run],
    checkpoint_of: Mapping[str, str],
    checkpoints: Sequence[str],
    known: Mapping[str, PredictorFigures],
) -> dict:
    """One line for each run and predictor at the run's checkpoint; `known` are the deployed predictors' figures."""
    lines = []
    for run in runs:
        checkpoint = checkpoint_of[run.name]
        scores = [row for row in run.scores if row["checkpoint"] == checkpoint]
        for place, predictor in enumerate(dict.fromkeys(str(row["predictor"]) for row in scores)):
            figures = known.get(run.name) if predictor == run.deployed else None
            figures = figures or run.figures([row for row in scores if row["predictor"] == predictor], checkpoint)
            lines.append(
                {
                    "run": "" if place else run.name,
                    "predictor": predictor,
                    "deployed": predictor == run.deployed,
                    "cells": score_cells(figures.over_classes),
                    "undefined": undefined_distances(figures.over_classes, figures.pairs),
                    "cases": figures.cases,
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


def class_table(runs: Sequence[Run], figures: Sequence[PredictorFigures]) -> list[dict]:
    """One line for each run and class; none where there is one class only."""
    names = class_names(runs)
    if len(names) < 2:
        return []
    return [
        {
            "run": "" if place else run.name,
            "class": names[code],
            "cells": score_cells(of_run.by_class[code]),
            "undefined": undefined_distances(of_run.by_class[code], of_run.cases),
        }
        for run, of_run in zip(runs, figures, strict=True)
        for place, code in enumerate(run.classes)
    ]


def further_table(runs: Sequence[Run], figures: Sequence[PredictorFigures], unit: str) -> dict:
    """Means of the metrics beyond the main ones that any run has."""
    metrics = [
        metric
        for metric in METRIC_NAMES
        if metric not in MAIN_METRICS and any(metric in of_run.over_classes for of_run in figures)
    ]
    return {
        "headings": [_long_heading(metric, unit, runs[0]) for metric in metrics],
        "lines": [
            {
                "run": run.name,
                "cells": score_cells(of_run.over_classes, metrics),
                "undefined": undefined_distances(of_run.over_classes, of_run.pairs),
            }
            for run, of_run in zip(runs, figures, strict=True)
        ],
    }


def _long_heading(metric: str, unit: str, run: Run) -> str:
    """A heading that says of volumes that they are some."""
    kind = ", area" if volume_unit(run).endswith("²") else ", volume"
    name = heading(metric, unit, volume_unit(run))
    return name.replace(" ", f"{kind} ", 1) if metric in VOLUMES else name
