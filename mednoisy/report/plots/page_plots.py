"""Which plots a page shows, from the figures of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mednoisy.evaluation.metrics import HIGHER_IS_BETTER
from mednoisy.evaluation.statistics import case_values
from mednoisy.report.metric_names import heading, volume_unit
from mednoisy.report.plots.plot_kinds import EmbeddedPlot, bland_altman, curves, distributions, dots_per_case
from mednoisy.report.reading.runs import Run

VALIDATION = "val_dice_"  # what columns of progress.csv with validation figures begin with
LIMITS = {"dice": (0, 100), "hd95": (0, None)}  # of what is shown: percent, distances
FEW_CASES = 60  # up to which each has a line of its own


def case_plots(runs: Sequence[Run], unit: str) -> list[EmbeddedPlot]:
    """Dice and HD95: how they spread and, where there are few cases, a line for each case; then volumes."""
    spread, lines = [], []
    for metric, limits in LIMITS.items():
        values = _series(runs, metric)
        label = heading(metric, unit)
        shown = {name: {c: 100 * v if metric == "dice" else v for c, v in of.items()} for name, of in values.items()}
        if all(math.isnan(value) for of_case in shown.values() for value in of_case.values()):
            continue
        words = f"How {label} spreads over the cases, for {', '.join(values)}"
        spread.append(distributions(shown, label, words, limits=limits))
        if max(len(of_case) for of_case in shown.values()) <= FEW_CASES:
            words = f"{label} of every case, a dot each for {', '.join(values)}"
            higher = metric in HIGHER_IS_BETTER
            lines.append(dots_per_case(shown, label, words, higher_is_better=higher, limits=limits))
    return [*spread, *lines, *_volumes(runs)]


def validation_plot(runs: Sequence[Run]) -> EmbeddedPlot | None:
    """Dice on validation cases of each run while it trained, of each predictor where there is one run."""
    lines = {name: line for run in runs for name, line in _validation_curves(run, len(runs) > 1).items()}
    if not lines:
        return None
    words = f"Learning curves of {', '.join(lines)}"
    return curves(lines, "Dice % on validation cases", words, limits=LIMITS["dice"])


def term_plots(run: Run) -> list[EmbeddedPlot]:
    """Loss terms of each student while it trained: columns named `student/term`, where they are above 0."""
    of_student: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for column in dict.fromkeys(column for row in run.progress for column in row if column and "/" in column):
        student, _, term = column.partition("/")
        line = _column(run, column)
        if line[1] and min(line[1]) > 0:
            of_student.setdefault(student, {})[term] = line
    return [
        curves(terms, f"loss terms of {student}", f"Loss terms of {student}: {', '.join(terms)}", logarithmic=True)
        for student, terms in of_student.items()
    ]


def _series(runs: Sequence[Run], metric: str) -> dict[str, dict[str, float]]:
    """What the plots of cases compare: several runs, or the predictors of one, or its classes."""
    if len(runs) > 1:
        return {run.name: case_values(run.metrics, metric) for run in runs}
    run = runs[0]
    scores = [row for row in run.scores if row["checkpoint"] == run.shown]
    predictors = list(dict.fromkeys(str(row["predictor"]) for row in scores))
    if len(predictors) > 1:
        predictors.sort(key=lambda name: name != run.deployed)
        rows_of = {name: [row for row in scores if row["predictor"] == name] for name in predictors}
        return {name: case_values(rows, metric) for name, rows in rows_of.items()}
    rows_of = {name: [row for row in run.metrics if row["class"] == code] for code, name in run.classes.items()}
    return {name: case_values(rows, metric) for name, rows in rows_of.items()}


def _volumes(runs: Sequence[Run]) -> list[EmbeddedPlot]:
    """Volumes of prediction and reference: of each run, or of each class of a single one."""
    if any("volume_prediction" not in row for run in runs for row in run.metrics[:1]):
        return []  # tables of earlier versions have none
    rows_of = {run.name: run.metrics for run in runs}
    if len(runs) == 1:
        run = runs[0]
        rows_of = {name: [row for row in run.metrics if row["class"] == code] for code, name in run.classes.items()}
    series = {
        name: ([float(row["volume_prediction"]) for row in rows], [float(row["volume_reference"]) for row in rows])
        for name, rows in rows_of.items()
        if rows
    }
    if not series:
        return []
    unit = volume_unit(runs[0])
    words = f"Bland-Altman plot of predicted and reference {'areas' if unit.endswith('²') else 'volumes'}"
    return [bland_altman(series, unit, f"{words}, for {', '.join(series)}")]


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


def _column(run: Run, name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in run.progress if row.get(name)]
    return [float(row["step"]) for row in rows], [float(row[name]) for row in rows]
