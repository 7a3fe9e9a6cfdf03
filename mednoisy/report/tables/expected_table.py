"""The table of predictions without a reference: what Dice to expect of each case, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mednoisy.active.expected_quality import least_held
from mednoisy.report.number_format import percent
from mednoisy.report.reading.expected_dices import ExpectedDice, read_expected_dices

NO_CASE = "no unlabeled case"  # a run's fact `predicted`, where it has no label map of any
SHORT_TABLE = 30  # cases up to which it is unfolded


def expected_table(folder: Path, predicted: bool) -> dict[str, Any]:
    """What the page shows; nothing of a run that left no predictions without a reference.

    Args:
        predicted: whether the run has made label maps of unlabeled cases.

    Raises:
        UserError: E591, as `read_expected_dices`.
    """
    rows = read_expected_dices(folder)
    if not rows:
        return {"rows": [], "why_not": "no held-out case has a Dice that could calibrate it"} if predicted else {}
    by_case: dict[str, list[ExpectedDice]] = {}
    for row in rows:
        by_case.setdefault(row.case, []).append(row)
    covers = {row.label: _claim(row.covers) for row in rows}
    listed = [_line(case, of_case) for case, of_case in by_case.items()]
    listed.sort(key=lambda line: (line["value"], line["case"]))
    return {"rows": listed, "classes": list(covers), "covers": covers, "unfolded": len(listed) <= SHORT_TABLE}


def _claim(covers: str) -> str:
    """What intervals of a class claim, or why there are none, for a reader."""
    if (least := least_held(covers)) is None:
        return covers
    claim = f"intervals are made to hold the truth in {covers} new cases"
    return (
        f"{claim}, on average over calibrations by as many patients; 19 of 20 of these keep {100 * least:.0f} % or more"
    )


def _line(case: str, rows: Sequence[ExpectedDice]) -> dict[str, Any]:
    mean = sum(row.dice for row in rows) / len(rows)
    cells = [{"value": row.dice, "shown": percent(row.dice), "ends": _ends(row)} for row in rows]
    return {"case": case, "value": mean, "shown": percent(mean), "cells": cells}


def _ends(row: ExpectedDice) -> str:
    return "" if row.ends is None else f"{percent(row.ends[0])} to {percent(row.ends[1])}"
