"""Dice by centre: what runs reach on cases of one origin, those of training and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.figures import MetricFigures
from mednoisy.evaluation.statistics import by_group
from mednoisy.report.number_format import counted
from mednoisy.report.reading.runs import Run
from mednoisy.report.tables.score_tables import NOTHING, score_cell
from mednoisy.report.tables.text_tables import markdown_table, mean_and_deviation

Key = tuple[int, str, str]  # labels, method and recipe of runs that differ in their seed alone


def centre_table(runs: Sequence[Run]) -> dict:
    """What a page says of centres: a line for each run, a cell for each centre; no lines with fewer than two centres.

    Returns:
        `centres`, their names in order; `lines` with `run` and `cells`: mean, interval and undefined Dice, number of
        cases, and whether the run was trained without the centre (False where it does not tell); `protocol`, texts
        that tell where that is not known; `without`, cases that name no centre.
    """
    centres = centre_names(runs)
    if len(centres) < 2:
        return {"centres": [], "lines": [], "protocol": [], "without": 0}
    lines = []
    for run in runs:
        of_centre = by_group(run.metrics, run.centres, "dice", run.patient_of)
        lines.append({"run": run.name, "cells": [_cell(run, of_centre, centre) for centre in centres]})
    unknown = [run for run in runs if "centres_in_training" not in run.facts]
    return {
        "centres": centres,
        "lines": lines,
        "protocol": list(dict.fromkeys(str(run.facts["protocol"]) for run in unknown if run.facts.get("protocol"))),
        "without": len({row["case"] for run in runs for row in run.metrics if str(row["case"]) not in run.centres}),
    }


def centre_names(runs: Sequence[Run]) -> list[str]:
    """The centres of all cases that any run scored."""
    return sorted(
        {run.centres[str(row["case"])] for run in runs for row in run.metrics if str(row["case"]) in run.centres}
    )


def unseen(run: Run, centre: str) -> bool:
    """Whether a run says that no case of its training is from a centre."""
    return "centres_in_training" in run.facts and centre not in run.facts["centres_in_training"]


def _cell(run: Run, of_centre: Mapping[str, MetricFigures], centre: str) -> dict:
    if centre not in of_centre:
        return score_cell(NOTHING, "dice") | {"cases": "", "unseen": False}
    cases = counted(len(_cases([run], centre)), "case")
    return score_cell(of_centre[centre], "dice") | {"cases": cases, "unseen": unseen(run, centre)}


def seeds_by_centre(runs: Mapping[Key, Sequence[Run]]) -> str | None:
    """A study's table in Markdown: Dice of the deployed predictor's final checkpoint by centre, in per cent.

    Args:
        runs: labels, method and recipe to the runs that have them, one for each seed.

    Returns:
        A line for each key, with mean and standard deviation over seeds; None with fewer than two centres.
    """
    everyone = [run for of_key in runs.values() for run in of_key]
    centres = centre_names(everyone)
    if len(centres) < 2:
        return None
    lines = []
    for (labeled, method, recipe), of_key in runs.items():
        of_seeds = [by_group(_final(run), run.centres, "dice", run.patient_of) for run in of_key]
        line = {"labeled": labeled, "method": method, "recipe": recipe, "predictor": of_key[0].deployed}
        for centre in centres:
            means = [figures[centre].mean for figures in of_seeds if centre in figures]
            line[centre] = mean_and_deviation(means, 1, scale=100)
        lines.append(line | {"seeds": len(of_key)})
    columns = {name: name for name in ("labeled", "method", "recipe", "predictor")}
    columns |= {centre: _heading(everyone, centre) for centre in centres}
    return markdown_table(lines, columns | {"seeds": "seeds"})


def _final(run: Run) -> list:
    return [row for row in run.scores if row["checkpoint"] == "final" and row["predictor"] == run.deployed]


def _heading(runs: Sequence[Run], centre: str) -> str:
    """The centre with the number of its cases, and a word where none of the runs was trained on it."""
    away = all(unseen(run, centre) for run in runs)
    return f"{centre}, {counted(len(_cases(runs, centre)), 'case')}{', not in training' if away else ''}"


def _cases(runs: Sequence[Run], centre: str) -> set[str]:
    return {case for run in runs for case, origin in run.centres.items() if origin == centre} & {
        str(row["case"]) for run in runs for row in run.metrics
    }
