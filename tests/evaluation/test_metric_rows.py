"""Rows of `metrics.csv`."""

from __future__ import annotations

import math

import numpy as np

from mednoisy.evaluation.metric_rows import COLUMNS, absent_row, count_undefined, score_case
from mednoisy.evaluation.metrics import MAIN_METRICS


def test_a_case_has_a_row_for_each_class():
    """A pixel of class 1 in both maps, one of class 2 in the reference alone."""
    prediction, reference = np.array([[1, 0, 0]]), np.array([[1, 0, 2]])
    one, two = score_case("a", prediction, reference, (1.0, 1.0))
    assert tuple(one) == tuple(two) == COLUMNS
    assert [(row["case"], row["class"], row["dice"]) for row in (one, two)] == [("a", 1, 1.0), ("a", 2, 0.0)]
    assert (two["volume_prediction"], two["volume_reference"]) == (0, 1)
    assert math.isnan(two["hd95"])


def test_the_row_of_an_absent_class_is_that_of_empty_masks():
    """In three dimensions as in two."""
    empty = np.zeros((3, 4, 5), np.uint8)
    (scored,) = score_case("a", empty, empty, (1.0, 2.0, 3.0), [7])
    np.testing.assert_equal(absent_row("a", 7), scored)
    undefined = {name for name, value in scored.items() if isinstance(value, float) and math.isnan(value)}
    assert undefined == {*COLUMNS} - {"case", "class", "volume_prediction", "volume_reference"}


def test_undefined_values_of_published_metrics_are_counted():
    """All four of an absent class, the distances alone of a missed one."""
    missed = score_case("a", np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8), (1.0, 1.0))
    assert count_undefined([absent_row("a", 1)]) == len(MAIN_METRICS) == 4
    assert count_undefined([*missed, absent_row("b", 1)]) == 2 + 4
