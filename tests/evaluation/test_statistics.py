from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from mednoisy.evaluation.statistics import case_values, paired_difference, summarise


def rows_of(values, metric="dice", code=1):
    return [{"case": f"c{number}", "class": code, metric: value} for number, value in enumerate(values)]


def test_figures_of_four_cases():
    figures = summarise(rows_of([1.0, 2.0, 3.0, 6.0, math.nan], "hd95"))
    hd95 = figures["classes"]["1"]["hd95"]
    assert (hd95["mean"], hd95["median"], hd95["quartiles"]) == (3, 2.5, [1.75, 3.75])
    assert hd95["sd"] == pytest.approx(math.sqrt(14 / 3))
    assert (hd95["n"], hd95["undefined"], figures["cases"]) == (4, 1, 5)
    assert figures["all"]["hd95"] == hd95
    assert json.loads(json.dumps(figures)) == figures


def test_over_classes_a_case_counts_once():
    rows = rows_of([0.2, 0.4], code=1) + rows_of([0.6, math.nan], code=2)
    assert case_values(rows, "dice") == pytest.approx({"c0": 0.4, "c1": 0.4})
    over = summarise(rows)["all"]["dice"]
    assert (over["mean"], over["n"], over["undefined"]) == (pytest.approx(0.4), 2, 1)


def test_interval_agrees_with_scipy_and_repeats():
    values = np.random.Generator(np.random.PCG64(2)).beta(8, 2, 20)
    interval = summarise(rows_of(values))["all"]["dice"]["interval"]
    peer = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile").confidence_interval
    assert interval == pytest.approx(list(peer), abs=0.004)
    assert interval == summarise(rows_of(values))["all"]["dice"]["interval"]
    assert interval != summarise(rows_of(values), seed=1)["all"]["dice"]["interval"]


@pytest.mark.parametrize(("values", "n"), [([], 0), ([math.nan], 0), ([0.5], 1)])
def test_too_few_cases_leave_figures_open(values, n):
    figures = summarise(rows_of(values))["all"].get("dice", {"n": 0, "interval": None})
    assert (figures["n"], figures["interval"]) == (n, None)


def test_difference_is_counted_the_way_the_metric_is_better():
    before, after = [1.0, 2.0, 3.0, 4.0, 9.0], [0.5, 2.5, 1.0, 4.0, math.nan]
    distance = paired_difference(rows_of(before, "hd95"), rows_of(after, "hd95"), "hd95")
    assert (distance["better"], distance["worse"], distance["tied"], distance["undefined"]) == (2, 1, 1, 1)
    assert (distance["difference"], distance["n"]) == (-0.5, 4)
    overlap = paired_difference(rows_of(before), rows_of(after), "dice")
    assert (overlap["better"], overlap["worse"]) == (1, 2)


def test_p_of_eight_cases_that_all_gain():
    """All eight signs equal: 2 of the 256 sign patterns are as extreme."""
    before = np.linspace(0.5, 0.6, 8)
    gains = paired_difference(rows_of(before), rows_of(before + np.linspace(0.1, 0.2, 8)), "dice")
    assert gains["p"] == pytest.approx(2 / 256)
    assert gains["difference"] == pytest.approx(0.15)
    assert gains["interval"][0] < 0.15 < gains["interval"][1]


def test_equal_runs_do_not_differ_and_strangers_are_not_compared():
    same = paired_difference(rows_of([0.5, 0.6]), rows_of([0.5, 0.6]), "dice")
    assert (same["difference"], same["p"], same["tied"]) == (0, 1, 2)
    apart = paired_difference(rows_of([0.5]), [{"case": "x", "class": 1, "dice": 0.5}], "dice")
    assert (apart["difference"], apart["p"], apart["n"], apart["unpaired"]) == (None, None, 0, 2)
