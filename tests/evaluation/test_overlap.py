"""Dice and Jaccard from counts and from label maps, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mednoisy.evaluation.metrics import case_metrics
from mednoisy.evaluation.overlap import dice_by_class, dice_of_sizes, jaccard_of_sizes


@pytest.mark.parametrize(
    ("sizes", "dice", "jaccard"),
    [((3, 4, 6), 6 / 10, 3 / 7), ((4, 4, 4), 1, 1), ((0, 4, 0), 0, 0), ((0, 0, 4), 0, 0)],
)
def test_overlap_of_counted_voxels(sizes, dice, jaccard):
    assert dice_of_sizes(*sizes) == dice
    assert jaccard_of_sizes(*sizes) == jaccard


def test_overlap_of_two_empty_sets_is_undefined():
    assert math.isnan(dice_of_sizes(0, 0, 0))
    assert math.isnan(jaccard_of_sizes(0, 0, 0))


def test_dice_of_label_maps_worked_out_by_hand():
    prediction = np.array([0, 1, 1, 2, 0, 0])
    reference = np.array([0, 1, 0, 0, 1, 0])
    values = dice_by_class(prediction, reference, range(1, 4))
    assert values[:2] == [2 * 1 / (2 + 2), 0.0]
    assert math.isnan(values[2])  # class 3 is in neither


def test_dice_by_class_is_that_of_all_metrics():
    """In the order of the codes, whatever it is."""
    maps = np.random.Generator(np.random.PCG64(1)).integers(0, 4, (2, 6, 7, 5))
    metrics = case_metrics(*maps, (1, 1, 1), [1, 2, 3])
    assert dice_by_class(*maps, [3, 1, 2]) == [metrics[code]["dice"] for code in (3, 1, 2)]
