"""Intervals hold the truth about as often as they say, whatever the number of patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mednoisy.evaluation.resampling import (
    UNBOUNDED,
    mean_intervals,
    patient_means,
    patient_numbers,
    sums_by_patient,
    t_interval,
)

TRIALS = 600
ERROR = 2.6 * math.sqrt(0.95 * 0.05 / TRIALS)  # of a coverage of 95 %, one time in a hundred
SHAPES = {"high Dice": (20.0, 2.0), "middling Dice": (3.0, 2.0), "a long tail": (4.0, 1.0)}


def coverage(count: int, draw, truth: float, volumes: int = 1) -> float:
    """The share of trials whose interval holds the truth, for so many patients."""
    cases = [f"p{number // volumes}_{number % volumes}" for number in range(count * volumes)]
    patients = patient_numbers(cases, {case: case.split("_")[0] for case in cases})
    columns = [draw() for _ in range(TRIALS)]
    found = mean_intervals(columns, [patients] * TRIALS, [(0.0, 1.0)] * TRIALS, seed=0)
    return float(np.mean([ends is not None and ends[0] <= truth <= ends[1] for ends in found]))


@pytest.mark.parametrize("count", [*range(2, 11), 14])
def test_intervals_of_few_patients_hold_the_mean(count):
    """95 of 100 times, less what a skewed distribution costs: 91 at the least where the plain percentiles have 49."""
    generator = np.random.Generator(np.random.PCG64(count))
    for first, second in SHAPES.values():
        held = coverage(count, lambda a=first, b=second: generator.beta(a, b, count), first / (first + second))
        assert 0.92 - ERROR <= held <= 0.95 + ERROR


@pytest.mark.parametrize("count", [5, 14])
def test_two_volumes_of_a_patient_make_no_two_patients(count):
    """Volumes that differ less than patients do: taken one by one the mean is held 80 to 88 of 100 times."""
    generator = np.random.Generator(np.random.PCG64(count))

    def draw() -> np.ndarray:
        return (np.repeat(generator.normal(0.7, 0.1, count), 2) + generator.normal(0, 0.03, 2 * count)).clip(0, 1)

    assert 0.93 - ERROR <= coverage(count, draw, 0.7, volumes=2) <= 0.95 + ERROR
    cases = [str(number) for number in range(2 * count)]
    columns = [draw() for _ in range(TRIALS)]
    alone = mean_intervals(columns, [patient_numbers(cases)] * TRIALS, [(0.0, 1.0)] * TRIALS, seed=0)
    assert np.mean([ends is not None and ends[0] <= 0.7 <= ends[1] for ends in alone]) < 0.9


def test_students_t_by_hand():
    """Patients' means 1, 2, 6 of two cases each: mean 3, standard error sqrt(7 / 3), quantile 4.303."""
    values = np.array([0.5, 1.5, 2.0, 2.0, 5.0, 7.0])
    patients = patient_numbers(list("abcdef"), dict(zip("abcdef", "xxyyzz", strict=True)))
    ends = mean_intervals([values], [patients], [UNBOUNDED], 0)[0]
    assert ends == pytest.approx((3 - 4.30265 * math.sqrt(7 / 3), 3 + 4.30265 * math.sqrt(7 / 3)), rel=1e-5)
    assert mean_intervals([values], [patients], [(0.0, 7.5)], 0)[0] == (0.0, 7.5)
    peer = stats.t.interval(0.95, 2, 3, stats.sem([1, 2, 6]))
    assert ends == pytest.approx(peer, rel=1e-12)


def test_the_mean_over_unequal_patients_is_a_ratio():
    """Cases 0 and 1, 1, 1 of two patients: mean 3/4, each is 3/4 from its share, variance 2 (2 (3/4)^2) / 16."""
    totals, counts = sums_by_patient(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0, 1, 1, 1]))
    assert (totals.tolist(), counts.tolist()) == ([0, 3], [1, 3])
    low, high = t_interval(totals, counts)
    assert (low + high) / 2 == 0.75
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 1) * math.sqrt(2 * 2 * 0.75**2 / 16), rel=1e-12)


def test_patients_without_a_value_are_none():
    values, patients = np.array([0.5, math.nan, math.nan, 0.9]), np.array([0, 0, 1, 2])
    assert patient_means(values, patients).tolist() == [0.5, 0.9]
    assert mean_intervals([values[:3]], [patients[:3]], [UNBOUNDED], 0) == [None]
    assert mean_intervals([np.array([])], [np.array([], dtype=int)], [UNBOUNDED], 0) == [None]


def test_a_case_that_names_nobody_is_no_patient_of_its_name():
    assert patient_numbers(["a", "b", "c"], {"b": "a", "c": "a"}).tolist() == [0, 1, 1]


def test_columns_beyond_those_held_at_once_are_as_if_alone(monkeypatch):
    """Pairs of sixty runs are 1,770 columns."""
    columns = list(np.random.Generator(np.random.PCG64(0)).random((7, 12)))
    arguments = [np.arange(12)] * 7, [UNBOUNDED] * 7
    whole = mean_intervals(columns, *arguments, 0)
    monkeypatch.setattr("mednoisy.evaluation.resampling.COLUMNS", 3)
    assert mean_intervals(columns, *arguments, 0) == whole
    assert whole[6] == mean_intervals(columns[6:], arguments[0][6:], arguments[1][6:], 0)[0]
