"""All cases of runs, as plain values for a page: a line for each case and class, and which values are undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mednoisy.evaluation.metrics import MAIN_METRICS, Row
from mednoisy.report.metric_names import METRIC_NAMES, heading, volume_unit
from mednoisy.report.number_format import number
from mednoisy.report.reading.runs import Run, class_names

SHORT_TABLE = 24  # rows up to which a page shows the table of all cases unfolded
MOST_NAMED = 200  # undefined values that are named one by one
COMPARED = ("dice", "hd95")  # metrics of several runs, side by side


def case_table(runs: Sequence[Run], unit: str) -> dict:
    """One line for each case and class: all metrics of one run, Dice and HD95 of several."""
    by_key: dict[tuple[str, int], dict[str, Row]] = {}
    for run in runs:
        for row in run.metrics:
            by_key.setdefault((str(row["case"]), int(row["class"])), {})[run.name] = row
    known = runs[0].metrics[0] if runs[0].metrics else {}
    every = [metric for metric in dict.fromkeys((*MAIN_METRICS, *METRIC_NAMES)) if metric in known]
    metrics = every if len(runs) == 1 else COMPARED
    volumes_in = volume_unit(runs[0])
    names = class_names(runs)
    rows = []
    for (case, code), of_run in by_key.items():
        values = [(metric, _known(of_run.get(run.name, {}).get(metric))) for run in runs for metric in metrics]
        cells = [sorted_cell(number(value, metric), value) for metric, value in values]
        undefined = any(not cell["value"] for cell in cells)
        rows.append({"case": case, "class": names[code], "cells": cells, "undefined": undefined})
    return {
        "headings": [heading(metric, unit, volumes_in) for metric in metrics],
        "rows": rows,
        "any_undefined": any(row["undefined"] for row in rows),
        "unfolded": len(rows) <= SHORT_TABLE,
    }


def sorted_cell(shown: str, value: float | None) -> dict[str, str]:
    """A cell as it is `shown`, and the `value` that a script sorts it by: nothing where undefined."""
    return {"shown": shown, "value": "" if value is None or math.isnan(value) else f"{value:.6g}"}


def _known(value: object) -> float | None:
    return value if isinstance(value, float) else None


def undefined_values(runs: Sequence[Run]) -> dict:
    """Run, case and class of what is undefined, and how many more there are than are named."""
    lines, names = [], class_names(runs)
    for run in runs:
        for row in run.metrics:
            undefined = [METRIC_NAMES[metric] for metric in MAIN_METRICS if math.isnan(float(row[metric]))]
            if undefined:
                where = f"{row['case']}, {names[int(row['class'])]}"
                lines.append(f"{run.name}: {where}: {', '.join(undefined)}")
    return {"lines": lines[:MOST_NAMED], "more": max(0, len(lines) - MOST_NAMED)}
