"""Expected Dice: agreement by hand, calibration on planted errors, intervals that cover what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.active.expected_quality import (
    Calibration,
    Expected,
    agreement,
    area_under_risk_coverage,
    least_held,
    worst_first,
)
from mednoisy.errors import UserError


def mask(*voxels: int) -> np.ndarray:
    labels = np.zeros(10, np.uint8)
    labels[list(voxels)] = 1
    return labels


def test_agreement_is_the_mean_over_pairs():
    """Dice of {0,1} and {1,2} is 1/2, of {0,1} and {0,1,2,3} 2/3, of {1,2} and {0,1,2,3} 2/3."""
    assert agreement([mask(0, 1), mask(1, 2), mask(0, 1, 2, 3)], 1) == pytest.approx((1 / 2 + 2 / 3 + 2 / 3) / 3)
    assert agreement([mask(), mask()], 1) == 1
    assert agreement([mask(), mask(3)], 1) == 0
    with pytest.raises(ValueError, match="two predictions"):
        agreement([mask(1)], 1)


def test_few_cases_shift():
    calibration = Calibration.fitted([0.9, 0.8, 0.7], [0.8, 0.75, 0.55])
    assert calibration.expected(0.6).dice == pytest.approx(0.5)
    assert calibration.expected(0.05).dice == 0


def test_many_cases_take_a_line_unless_it_falls():
    x = np.linspace(0.5, 1, 11)
    rising = Calibration.fitted(x, 2 * x - 1)
    assert (rising.slope, rising.offset) == pytest.approx((2, -1))
    falling = Calibration.fitted(x, 1.2 - x)
    assert falling.slope == 1


def test_eight_cases_claim_eight_of_nine():
    generator = np.random.default_rng(0)
    x = generator.random(8)
    expected = Calibration.fitted(x, x + generator.normal(0, 0.01, 8)).expected(0.5)
    assert expected.cover == "8 of 9"
    assert Calibration.fitted(x, x, wanted=0.5).expected(0.5).cover == "5 of 9"
    assert Calibration.fitted(x[:2], x[:2]).expected(0.5) == Expected(
        0.5, None, None, "no interval: 2 calibration cases tell too little"
    )


@pytest.mark.parametrize("count", [8, 20])
def test_intervals_cover_what_they_claim(count):
    """Errors of any shape, here skewed ones; the share that is covered is at least what is claimed, less chance."""
    generator = np.random.default_rng(1)
    held = claimed = 0.0
    for _ in range(1500):
        x = generator.uniform(0.4, 0.9, count + 1)
        y = x - generator.exponential(0.05, count + 1)
        expected = Calibration.fitted(x[:-1], y[:-1]).expected(x[-1])
        held += expected.low <= y[-1] <= expected.high
        rank, of = map(int, expected.cover.split(" of "))
        claimed = rank / of
    assert held / 1500 > claimed - 0.025


def test_the_error_that_few_cases_allow_is_known():
    """Dice is agreement less 0, .1, .2 and .3: left out in turn the others' shift misses by 4/3 of what it is off the
    mean, .2, .0667, .0667 and .2."""
    x, y = [0.9] * 4, [0.9, 0.8, 0.7, 0.6]
    calibration = Calibration.fitted(x, y)
    assert calibration.errors == pytest.approx((0.2 / 3, 0.2 / 3, 0.2, 0.2))
    expected = calibration.expected(0.6)
    assert (expected.dice, expected.low, expected.high, expected.cover) == pytest.approx((0.45, 0.25, 0.65, "4 of 5"))
    assert Calibration.fitted(x, y, wanted=0.3).expected(0.6).low == pytest.approx(0.45 - 0.2 / 3)  # 2 of 5


def test_cases_of_a_patient_count_as_one():
    """Of three patients with 2, 1 and 1 cases: each is left out as a whole, and three can claim three of four."""
    x, y = [0.9] * 4, [0.9, 0.8, 0.7, 0.6]
    calibration = Calibration.fitted(x, y, ["a", "a", "b", "c"])
    assert calibration.patients == 3
    assert calibration.errors == pytest.approx((1 / 15, 0.15, 0.2, 0.25))  # b, a, c and a
    assert calibration.shares == pytest.approx((1, 0.5, 1, 0.5))
    assert calibration.expected(0.6).cover == "3 of 4"
    assert calibration.expected(0.6).high == pytest.approx(0.45 + 0.25)
    halves = Calibration.fitted(x, y, ["a", "a", "b", "c"], wanted=0.5)  # two of four: b, half of a, and c
    assert (halves.expected(0.6).cover, halves.expected(0.6).high) == ("2.5 of 4", pytest.approx(0.65))
    more = Calibration.fitted(x, y, ["a", "a", "b", "c"], wanted=0.35)  # 1.4 are wanted: b and half of a
    assert (more.expected(0.6).cover, more.expected(0.6).high) == ("1.5 of 4", pytest.approx(0.6))
    assert Calibration.fitted(x, y, ["a", "a", "b", "b"]).expected(0.6).low is None
    assert Calibration.fitted(x, y, ["a"] * 4).errors == ()
    alone = [Calibration.fitted(x, y, names) for names in (None, ["a", "b", "c", "d"])]
    assert alone[0] == alone[1]


def test_two_volumes_of_each_patient_cover_what_is_claimed():
    """Errors of a patient's volumes are nearly the same: counted as cases, 10 of 20 claim what they do not keep."""
    generator = np.random.default_rng(2)
    held = {"patients": 0.0, "cases": 0.0}
    for _ in range(400):
        same, own = np.repeat(generator.normal(size=10), 2), generator.normal(size=20)
        x = np.clip(0.65 + 0.1 * np.repeat(generator.normal(size=10), 2) + 0.03 * generator.normal(size=20), 0, 1)
        y = x - 0.1 + 0.1 * (0.95 * same + 0.3 * own)
        agreed = generator.normal(0.65, 0.1)
        dice = agreed - 0.1 + 0.1 * generator.normal()
        for name, whose in (("patients", np.repeat(np.arange(10), 2)), ("cases", None)):
            expected = Calibration.fitted(x, y, whose).expected(agreed)
            assert expected.low is not None
            assert expected.high is not None
            held[name] += expected.low <= dice <= expected.high
    assert held["patients"] / 400 > 10 / 11 - 0.02
    assert held["cases"] / 400 < 19 / 21 - 0.02


def test_what_a_calibration_keeps_follows_from_how_many_there_are():
    """Of 8 the largest error: a share below s has the probability s ** 8."""
    assert least_held("8 of 9") == pytest.approx(0.05 ** (1 / 8))
    assert 0.75 < least_held("13.5 of 15") < least_held("14 of 15") < 0.81
    assert least_held("19 of 21") == pytest.approx(0.7839, abs=1e-4)
    assert least_held("no interval: 2 calibration cases tell too little") is None


def test_undefined_dice_calibrates_nothing():
    with pytest.raises(UserError, match=r"E396 no case with a reference .* Train with --folds"):
        Calibration.fitted([0.5], [float("nan")])
    assert Calibration.fitted([0.5, 0.9], [float("nan"), 0.8]).offset == pytest.approx(-0.1)


def test_area_under_risk_and_coverage():
    """Dice 1, .5, 0 in their order: risks 0, .5, 1; running means 0, .25, .5."""
    figures = area_under_risk_coverage([3, 2, 1], [1, 0.5, 0])
    assert figures == pytest.approx({"aurc": 0.25, "random": 0.5, "optimal": 0.25, "normalised": 1})
    assert area_under_risk_coverage([1, 2, 3], [1, 0.5, 0])["normalised"] == pytest.approx(-1)
    assert np.isnan(area_under_risk_coverage([1, 2], [0.5, 0.5])["normalised"])


def test_the_worst_come_first():
    cases = {"b": Expected(0.5, None, None, ""), "a": Expected(0.5, None, None, ""), "c": Expected(0.1, None, None, "")}
    assert worst_first(cases) == ["c", "a", "b"]
