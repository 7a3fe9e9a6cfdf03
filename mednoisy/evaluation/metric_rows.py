"""Rows of `metrics.csv`: one for each case and class."""

from __future__ import annotations

import itertools
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


def image_diagonal(shape: Sequence[int], steps: Sequence[float] | np.ndarray) -> float:
    """How far an image reaches from corner to corner, in the unit of its steps: the distance that a miss is given.

    Args:
        steps: a length for each axis, or where axes are not at right angles a matrix whose columns are their steps.

    Examples:
        >>> image_diagonal((3, 8), (1.0, 0.5))
        5.0
        >>> image_diagonal((1, 1), np.array([[1.0, 0.5], [0.0, 2.0]]))
        2.5
    """
    matrix = np.diag(steps) if np.ndim(steps) == 1 else np.asarray(steps)
    signs = np.array(list(itertools.product((1, -1), repeat=len(shape))))
    return float(np.linalg.norm((signs * np.asarray(shape)) @ matrix.T, axis=1).max())


def count_undefined(rows: Iterable[Mapping]) -> int:
    """How many values of published tables' metrics are undefined."""
    return sum(math.isnan(row[metric]) for row in rows for metric in MAIN_METRICS)
