"""What is undefined is left out of means and never scored."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mednoisy.evaluation.undefined_values import defined, mean_of_defined

NAN = math.nan


@pytest.mark.parametrize(("values", "mean"), [([1.0, NAN, 4.0], 2.5), ([0.25], 0.25), ([None, 3.0, NAN, 5.0], 4.0)])
def test_the_mean_is_over_what_is_defined(values, mean):
    assert float(mean_of_defined(values)) == mean


@pytest.mark.parametrize("values", [[], [NAN], [NAN, None]])
def test_nothing_defined_has_no_mean(values):
    assert math.isnan(float(mean_of_defined(values)))
    assert defined(values).size == 0


def test_means_are_along_the_last_axis():
    """Of each row for itself; a row without a value stays undefined."""
    values = np.array([[[1.0, 3.0], [NAN, 2.0]], [[NAN, NAN], [0.0, 0.0]]])
    np.testing.assert_equal(mean_of_defined(values), [[2.0, 2.0], [NAN, 0.0]])


def test_defined_values_keep_their_order():
    assert defined([3.0, None, 1.0, NAN, 2.0]).tolist() == [3.0, 1.0, 2.0]
