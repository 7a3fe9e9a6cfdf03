"""Areas, efficiencies and penalties whose values can be worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from mednoisy.active.learning_curves import (
    area_under_curve,
    foreground_efficiency,
    over_seeds,
    p_of_mean,
    penalty_matrix,
)


@pytest.mark.parametrize(
    ("dices", "expected"),
    [
        ([0.5], 0.5),
        ([0.2, 0.6], 0.4),
        ([0.5, 0.7, 0.8], 0.675),
        ([0.0, 0.0, 0.0, 0.0, 1.0], 0.125),  # the last of five rounds weighs half of a quarter
        ([0.8] * 7, 0.8),
    ],
)
def test_the_area_is_the_trapezoid_over_rounds_from_0_to_1(dices, expected):
    assert area_under_curve(dices) == pytest.approx(expected, abs=1e-12)


def test_an_undefined_round_leaves_the_area_undefined():
    assert math.isnan(area_under_curve([0.5, math.nan, 0.7]))
    with pytest.raises(ValueError, match="one value a round"):
        area_under_curve([])


@pytest.mark.parametrize("planted", [-3.0, 0.5, 12.0, 400.0])
def test_the_efficiency_of_a_planted_curve_is_found(planted):
    """Points on full - a exp(-g (x - x0)) have the g that they were made with, whatever the unit of x."""
    x = 0.02 + np.linspace(0, 0.1, 6)
    y = 0.9 - 0.4 * np.exp(-planted * (x - 0.02))
    assert foreground_efficiency(x, y, full=0.9, start=0.5) == pytest.approx(planted, rel=1e-5)
    assert foreground_efficiency(1000 * x, y, full=0.9, start=0.5) == pytest.approx(planted / 1000, rel=1e-5)


def test_the_efficiency_of_two_seeds_lies_between_theirs():
    x = np.linspace(0, 1, 5)
    slow, fast = (0.9 - 0.4 * np.exp(-g * x) for g in (1.0, 4.0))
    found = foreground_efficiency([*x, *x], [*slow, *fast], full=0.9, start=0.5)
    assert found is not None
    assert 1 < found < 4


def test_the_efficiency_of_a_curve_that_never_rises_is_0_and_of_a_jump_infinite():
    x = [0.0, 0.1, 0.2]
    assert foreground_efficiency(x, [0.5, 0.5, 0.5], full=0.9, start=0.5) == pytest.approx(0, abs=1e-6)
    assert foreground_efficiency(x, [0.5, 0.95, 0.95], full=0.9, start=0.5) == math.inf


@pytest.mark.parametrize(
    ("x", "y", "full"),
    [
        ([0.1, 0.2], [0.9, 0.95], 0.9),  # the start is as good as all labels
        ([0.1, 0.1], [0.5, 0.6], 0.9),  # nothing was annotated
        ([0.1, 0.2], [math.nan, math.nan], 0.9),
        ([0.1, 0.2], [0.5, 0.6], math.nan),
    ],
)
def test_what_no_curve_goes_through_has_no_efficiency(x, y, full):
    assert foreground_efficiency(x, y, full=full, start=0.9 if y[0] == 0.9 else 0.5) is None


def test_undefined_points_are_left_out():
    x = np.linspace(0, 1, 5)
    y = 0.9 - 0.4 * np.exp(-2 * x)
    y[2] = math.nan
    assert foreground_efficiency(x, y, full=0.9, start=0.5) == pytest.approx(2, rel=1e-5)


def test_penalties_of_planted_wins():
    """Four rounds, three seeds: b beats a in two of them, c equals a, and d wins by a difference that varies much."""
    a = np.tile([0.5, 0.6, 0.7, 0.8], (3, 1))
    b = a + np.array([[0, 0.1, 0, 0.1]]) + np.array([[0.001], [-0.001], [0.0]]) * [[0, 1, 0, 1]]
    d = a + np.array([[0.3], [-0.1], [0.1]])  # t = 0.87 with 2 degrees of freedom
    matrix = penalty_matrix([{"a": a, "b": b, "c": a, "d": d}])
    assert matrix is not None
    assert matrix.strategies == ("a", "b", "c", "d")
    assert matrix.beaten == pytest.approx(np.array([[0, 0, 0, 0], [50, 0, 50, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert matrix.penalties == pytest.approx([50 / 3, 0, 50 / 3, 0])
    assert (matrix.settings, matrix.seeds) == (1, 3)


def test_settings_are_averaged_over_the_strategies_that_all_have():
    low, high = np.full((2, 1), 0.5), np.full((2, 1), 0.6)
    matrix = penalty_matrix([{"a": low, "b": high, "c": high}, {"a": high, "b": high}])
    assert matrix is not None
    assert matrix.strategies == ("a", "b")
    assert matrix.beaten == pytest.approx(np.array([[0, 0], [50, 0]]))


def test_the_test_is_the_t_test_at_5_per_cent():
    """Differences of mean 1 and standard deviation s: t = sqrt(4) / s, critical at 3.182 for 3 degrees of freedom."""
    base = np.array([1.5, 0.5, 1.5, 0.5]) - 1  # standard deviation 0.5774
    critical = 2 / stats.t.ppf(0.975, 3) / base.std(ddof=1)
    for factor, wins in ((0.99, 100), (1.01, 0)):
        gaps = 0.01 * (1 + factor * critical * base)
        matrix = penalty_matrix([{"a": np.zeros((4, 1)), "b": gaps[:, None]}])
        assert matrix is not None
        assert matrix.beaten[1, 0] == wins


def test_undefined_values_take_their_seed_out_and_too_little_is_no_matrix():
    a, b = np.full((3, 1), 0.5), np.array([[0.6], [0.6], [math.nan]])
    matrix = penalty_matrix([{"a": a, "b": b}])
    assert matrix is not None
    assert matrix.beaten[1, 0] == 100
    assert penalty_matrix([]) is None
    assert penalty_matrix([{"a": a}]) is None
    assert penalty_matrix([{"a": a[:, :0], "b": b[:, :0]}]) is None
    assert penalty_matrix([{"a": a[:1], "b": b[:1]}]) is None
    with pytest.raises(ValueError, match="shape"):
        penalty_matrix([{"a": a, "b": b[:2]}])


def test_means_over_seeds_have_students_interval():
    found = over_seeds([0.6, 0.8, math.nan])
    assert found.mean == pytest.approx(0.7)
    assert found.seeds == 2
    assert found.interval == (0.0, 1.0)  # 12.7 x 0.1 around it, cut
    three = over_seeds([0.69, 0.70, 0.71])
    assert three.interval == pytest.approx((0.7 - 4.302653 * 0.01 / math.sqrt(3), 0.7 + 4.302653 * 0.01 / math.sqrt(3)))
    assert over_seeds([0.7]).interval is None
    assert over_seeds([math.nan]).mean is None
    assert p_of_mean(np.array([0.0, 0.0])) == 1
    assert p_of_mean(np.array([0.1, 0.1])) == 0


def test_no_torch_is_loaded():
    code = "import sys, mednoisy.active.learning_curves; print(sorted({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
