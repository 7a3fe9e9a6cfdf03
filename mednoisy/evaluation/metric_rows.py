"""Rows of `metrics.csv`: one for each case and class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mednoisy.evaluation.metrics import MAIN_METRICS, TABLE_METRICS, Row, case_metrics

COLUMNS = ("case", "class", *TABLE_METRICS)


def score_case(
    case: str,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float] | np.ndarray,
    labels: Iterable[int] | None = None,
    tolerance: float = 1.0,
) -> list[Row]:
    """The rows of one case, one for each class; arguments as for `metrics.case_metrics`."""
    metrics = case_metrics(prediction, reference, spacing, labels, tolerance)
    return [
        {"case": case, "class": code, **{name: values[name] for name in TABLE_METRICS}}
        for code, values in metrics.items()
    ]


def absent_row(case: str, code: int) -> Row:
    """The row of a class that neither prediction nor reference of a case has: volumes 0, all else undefined."""
    background = np.zeros((1, 1), np.uint8)
    return score_case(case, background, background, (1.0, 1.0), [code])[0]


def count_undefined(rows: Iterable[Mapping]) -> int:
    """How many values of published tables' metrics are undefined."""
    return sum(math.isnan(row[metric]) for row in rows for metric in MAIN_METRICS)
