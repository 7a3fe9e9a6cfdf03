"""Overlap of unions of classes, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mednoisy.evaluation.overlap import dice_of_sizes
from mednoisy.evaluation.regions import region_rows

SETS = {"two": {"rest": (0, 1), "skin": (2, 3)}, "one": {"last": (4,)}}
REFERENCE = np.array([[0, 0, 1, 2], [2, 3, 3, 3]])
PREDICTION = np.array([[0, 2, 1, 3], [2, 3, 0, 2]])


def test_classes_of_a_region_count_as_one():
    """Skin is predicted in 5 pixels and there in 5, 4 of them shared; the rest is 3 and 3, 2 shared."""
    rows = region_rows("c", PREDICTION, REFERENCE, SETS)
    assert [(row["set"], row["region"], row["class"]) for row in rows] == [
        ("two", "rest", 0), ("two", "skin", 1), ("one", "last", 0)
    ]  # fmt: skip
    assert [row["dice"] for row in rows[:2]] == [pytest.approx(2 / 3), pytest.approx(0.8)]
    assert [row["jaccard"] for row in rows[:2]] == [pytest.approx(0.5), pytest.approx(2 / 3)]
    assert math.isnan(rows[2]["dice"])


def test_what_is_ignored_counts_nowhere():
    """Background would else gain from every pixel that nobody looked at."""
    ignored = np.zeros(REFERENCE.shape, bool)
    ignored[0, 1] = ignored[1, 2] = True
    rows = region_rows("c", PREDICTION, REFERENCE, SETS, ignored)
    assert [row["dice"] for row in rows[:2]] == [1.0, 1.0]


def test_a_region_of_one_class_is_that_class():
    generator = np.random.default_rng(0)
    maps = generator.integers(0, 4, (2, 9, 9))
    for code in range(4):
        (row,) = region_rows("c", *maps, {"s": {"r": (code,)}})
        first, second = maps == code
        assert row["dice"] == dice_of_sizes(int((first & second).sum()), int(first.sum()), int(second.sum()))
