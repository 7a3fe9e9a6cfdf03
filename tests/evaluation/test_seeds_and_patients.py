"""Seeds and patients drawn together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mednoisy.evaluation.resampling import RESAMPLES, UNBOUNDED, patient_numbers, resamples
from mednoisy.evaluation.seeds_and_patients import crossed_interval, difference_over_seeds, mean_over_seeds
from mednoisy.evaluation.statistics import paired_difference

TRIALS = 250
ERROR = 2.6 * math.sqrt(0.95 * 0.05 / TRIALS)


def run_of(values, cases=None):
    return {(case, 1): float(value) for case, value in zip(cases or range(len(values)), values, strict=True)}


def as_rows(run):
    return [{"case": case, "class": code, "dice": value} for (case, code), value in run.items()]


def drawn(generator, patients, seeds, spread):
    """Differences (patients, seeds) around 0: of patients, of seeds, and of what they have only together."""
    of_patients, of_seeds, of_both = spread
    return (
        generator.normal(0, of_patients, (patients, 1))
        + generator.normal(0, of_seeds, (1, seeds))
        + generator.normal(0, of_both, (patients, seeds))
    )


@pytest.mark.parametrize(
    ("patients", "seeds", "spread", "least"),
    [
        (14, 3, (0.1, 0.0, 0.05), 0.94),
        (14, 3, (0.1, 0.03, 0.05), 0.94),
        (28, 2, (0.1, 0.02, 0.05), 0.93),
        (14, 5, (0.05, 0.05, 0.03), 0.93),
        (14, 3, (0.05, 0.05, 0.03), 0.90),  # three seeds that vary more than patients do tell little of others
        (5, 3, (0.1, 0.03, 0.05), 0.94),
    ],
)
def test_intervals_hold_a_difference_under_other_patients_and_seeds(patients, seeds, spread, least):
    """Where patients alone were drawn, 0 would be held 48 to 92 of 100 times."""
    generator = np.random.Generator(np.random.PCG64(1))
    numbers = np.arange(patients)
    found = [
        crossed_interval(drawn(generator, patients, seeds, spread), numbers, UNBOUNDED, seed) for seed in range(TRIALS)
    ]
    assert least - ERROR <= np.mean([ends is not None and ends[0] <= 0 <= ends[1] for ends in found]) <= 0.99


def test_one_seed_is_the_paired_difference():
    generator = np.random.Generator(np.random.PCG64(2))
    for count in (6, 14):
        before, after = run_of(generator.random(count)), run_of(generator.random(count))
        patient_of = {number: str(number // 2) for number in range(count)}
        found = difference_over_seeds({4: before}, {4: after, 5: before}, "dice", patient_of)
        alone = paired_difference(as_rows(before), as_rows(after), "dice", patient_of)
        assert found.interval == pytest.approx(alone["interval"], rel=1e-12)
        assert (found.mean, found.p, found.patients) == (alone["difference"], alone["p"], count // 2)
        assert found.of_seed == {4: pytest.approx(alone["difference"], abs=1e-9)}


def test_resamples_of_two_seeds_done_one_by_one():
    """Patients are the same under both seeds of a resample; seeds may come twice. Their own draws are known here."""
    generator = np.random.Generator(np.random.PCG64(3))
    table = generator.normal(0.1, 0.3, (12, 1)) + generator.normal(0, 0.05, (12, 2))
    ends = crossed_interval(table, np.arange(12), UNBOUNDED, 0)
    times = np.concatenate(list(resamples(12, 0))).astype(int)
    peer = np.random.Generator(np.random.PCG64(9))
    means = [np.mean(table[np.ix_(np.repeat(np.arange(12), one), peer.integers(0, 2, 2))]) for one in times[:RESAMPLES]]
    tail = 0.0108  # of 12 patients: sqrt(12 / 11) times the quantile 2.201, back through the normal distribution
    assert ends == pytest.approx(tuple(np.quantile(means, (tail, 1 - tail))), abs=0.02)  # of an interval .4 long


def test_twins_change_nothing():
    """Every case twice as another volume of the same patient."""
    generator = np.random.Generator(np.random.PCG64(4))
    for count in (6, 14):
        table = drawn(generator, count, 3, (0.1, 0.02, 0.05))
        once = crossed_interval(table, np.arange(count), UNBOUNDED, 0)
        twice = crossed_interval(np.repeat(table, 2, axis=0), np.repeat(np.arange(count), 2), UNBOUNDED, 0)
        assert twice == pytest.approx(once, rel=1e-9)


def test_seeds_that_agree_leave_patients_alone():
    """Three copies of one run: the interval is that of one, p too; seeds that differ widen it."""
    generator = np.random.Generator(np.random.PCG64(5))
    before, after = run_of(generator.random(14)), run_of(generator.random(14))
    one = difference_over_seeds({0: before}, {0: after}, "dice")
    three = difference_over_seeds(dict.fromkeys(range(3), before), dict.fromkeys(range(3), after), "dice")
    assert three.interval == pytest.approx(one.interval, abs=1e-12)
    assert three.p == one.p
    shifted = {seed: {key: value + 0.3 * (seed - 1) for key, value in after.items()} for seed in range(3)}
    apart = difference_over_seeds(dict.fromkeys(range(3), before), shifted, "dice")
    assert apart.p == one.p
    assert apart.mean == pytest.approx(one.mean, abs=1e-9)
    assert np.ptp(apart.interval) > 1.5 * np.ptp(one.interval)


def test_few_patients_by_students_t():
    """Patients' means -1, 0, 1 and seeds' -1/2, 1/2, nothing else: variances 1/3 and 1/4, 2 and 1 degrees.

    Satterthwaite: (7/12)^2 / ((1/3)^2 / 2 + (1/4)^2 / 1) = 2.8824, whose quantile is 3.2572.
    """
    table = np.array([[-1.0], [0.0], [1.0]]) + np.array([[-0.5, 0.5]])
    reach = 3.2572 * math.sqrt(7 / 12)
    assert crossed_interval(table, np.arange(3), UNBOUNDED, 0) == pytest.approx((-reach, reach), rel=1e-4)
    assert crossed_interval(table, np.arange(3), (-1.0, 1.0), 0) == (-1.0, 1.0)


def test_what_cannot_be_told_is_left_open():
    one = difference_over_seeds({0: run_of([0.5])}, {0: run_of([0.6])}, "dice")
    assert (one.mean, one.interval, one.p, one.patients) == (pytest.approx(0.1), None, 1, 1)
    one = mean_over_seeds({0: run_of([0.5]), 1: run_of([0.7])}, "dice")
    assert (one.mean, one.interval, one.p, one.of_seed) == (0.6, None, None, {0: 0.5, 1: 0.7})
    none = difference_over_seeds({0: run_of([math.nan])}, {0: run_of([0.6])}, "dice")
    assert (none.mean, none.interval, none.p, none.of_seed, none.patients) == (None, None, None, {}, 0)
    nobody = mean_over_seeds({0: {}, 1: {}}, "dice")  # a predictor that only another checkpoint has
    assert (nobody.mean, nobody.interval, nobody.of_seed) == (None, None, {})
    strangers = difference_over_seeds({0: run_of([0.5], ["a"])}, {0: run_of([0.6], ["b"])}, "dice")
    assert (strangers.mean, strangers.patients) == (None, 0)
    with pytest.raises(ValueError, match=r"seeds \[0\] and \[1\] have none in common"):
        difference_over_seeds({0: run_of([0.5])}, {1: run_of([0.6])}, "dice")


def test_undefined_values_are_left_out_of_their_seed():
    """Of patient 1 one seed is undefined; a share is never above 1."""
    found = mean_over_seeds({0: run_of([0.9, math.nan]), 1: run_of([1.0, 0.2])}, "dice")
    assert found.mean == pytest.approx(0.7)
    assert found.of_seed == {0: 0.9, 1: pytest.approx(0.6)}
    assert found.interval == (0.0, 1.0)
    assert patient_numbers(["0", "1"]).tolist() == [0, 1]
