"""Dice by region: unions of classes that a datalist names, in sets of which each has a mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mednoisy.evaluation.metrics import Row
from mednoisy.evaluation.statistics import summarise
from mednoisy.report.reading.runs import Run
from mednoisy.report.tables.score_tables import NOTHING, score_cell


def region_sets(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The sets of regions that any run scored to the names of their regions, in order."""
    sets: dict[str, dict[int, str]] = {}
    for run in runs:
        for row in run.regions:
            sets.setdefault(str(row["set"]), {}).setdefault(int(row["class"]), str(row["region"]))
    return {name: [parts[number] for number in sorted(parts)] for name, parts in sets.items()}


def rows_of_set(run: Run, name: str, checkpoint: str) -> list[Row]:
    """Dice of the deployed predictor at a checkpoint, a row for each case and region of a set."""
    wanted = (name, checkpoint, run.deployed)
    rows: Iterable[Row] = (row for row in run.regions if (row["set"], row["checkpoint"], row["predictor"]) == wanted)
    return [{key: row[key] for key in ("case", "class", "dice")} for row in rows]


def region_tables(runs: Sequence[Run]) -> list[dict]:
    """What a page says of regions: for each set `headings`, and a line with `cells` for each run that scored it.

    The first cell is the mean over the set's regions, the others are of each.
    """
    tables = []
    for name, parts in region_sets(runs).items():
        lines = []
        for run in runs:
            figures = summarise(rows_of_set(run, name, run.shown), run.patient_of)
            if figures.cases:
                means = [
                    figures.over_classes["dice"],
                    *(figures.by_class.get(number, {}).get("dice", NOTHING) for number in range(len(parts))),
                ]
                lines.append({"run": run.name, "cells": [score_cell(each, "dice") for each in means]})
        tables.append({"name": name, "headings": ["Mean", *parts], "lines": lines})
    return tables
