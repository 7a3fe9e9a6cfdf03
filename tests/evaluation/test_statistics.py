from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from mednoisy.evaluation.statistics import (
    RESAMPLES,
    by_group,
    case_class_values,
    case_values,
    paired_difference,
    paired_differences,
    resamples,
    shared_values,
    summarise,
)


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


def test_every_median_and_spread_is_numpys():
    values = np.random.Generator(np.random.PCG64(3)).gamma(2, 3, 31)
    hd95 = summarise(rows_of(values, "hd95"))["all"]["hd95"]
    assert [hd95["mean"], hd95["sd"], hd95["median"]] == pytest.approx(
        [values.mean(), values.std(ddof=1), np.median(values)], rel=1e-12
    )
    assert hd95["quartiles"] == pytest.approx([np.percentile(values, 25), np.percentile(values, 75)], rel=1e-12)


def test_interval_of_a_difference_agrees_with_scipy():
    generator = np.random.Generator(np.random.PCG64(4))
    before, after = generator.beta(8, 2, 25), generator.beta(9, 2, 25)
    interval = paired_difference(rows_of(before), rows_of(after), "dice")["interval"]
    peer = stats.bootstrap((after - before,), np.mean, n_resamples=20000, method="percentile")
    assert interval == pytest.approx(list(peer.confidence_interval), abs=0.006)  # a twentieth of its length


def test_intervals_are_those_of_the_same_resamples_done_one_by_one():
    """A case whose value is undefined is drawn like the others and left out of that resample's mean."""
    values = np.array([0.2, 0.5, math.nan, 0.9, 0.4])
    draws = [np.repeat(values, times.astype(int)) for block in resamples(5, 0) for times in block]
    means = [np.nanmean(draw) for draw in draws if not np.isnan(draw).all()]
    expected = np.quantile(means, (0.025, 0.975))
    assert summarise(rows_of(values))["all"]["dice"]["interval"] == pytest.approx(list(expected), abs=1e-12)


def test_resamples_do_not_depend_on_their_blocks(monkeypatch):
    whole = np.concatenate(list(resamples(7, 1)))
    assert whole.shape == (RESAMPLES, 7)
    assert (whole.sum(axis=1) == 7).all()
    monkeypatch.setattr("mednoisy.evaluation.statistics.BLOCK", 7 * 999)
    blocks = list(resamples(7, 1))
    assert len(blocks) == 6
    assert np.array_equal(np.concatenate(blocks), whole)


def test_metrics_that_some_rows_lack_are_left_out():
    rows = [{"case": "old", "class": 1, "dice": 0.5}, {"case": "new", "class": 1, "dice": 0.7, "assd": 1.0}]
    assert list(summarise(rows)["all"]) == ["dice"]
    assert list(summarise(rows[::-1])["classes"]["1"]) == ["dice"]
    difference = paired_difference(rows_of([0.5]), rows_of([1.0], "assd"), "assd")
    assert (difference["n"], difference["undefined"], difference["p"]) == (0, 1, None)


def test_runs_are_compared_on_classes_that_both_have_defined():
    """The second class of c0 has a distance in one run only; the far first class of c1 counts in both."""
    before = rows_of([3.0, 4.0], "hd95") + rows_of([math.nan, 2.0], "hd95", code=2)
    after = rows_of([2.0, 6.0], "hd95") + rows_of([50.0, 2.0], "hd95", code=2)
    cases, values = shared_values([case_class_values(before, "hd95"), case_class_values(after, "hd95")])
    assert cases == ["c0", "c1"]
    assert values.tolist() == [[3, 2], [3, 4]]
    difference = paired_difference(before, after, "hd95")
    assert (difference["difference"], difference["better"], difference["worse"]) == (0, 1, 1)


def test_many_pairs_are_each_as_if_alone():
    """Pairs with unequal numbers of cases among them."""
    generator = np.random.Generator(np.random.PCG64(6))
    runs = [rows_of(generator.random(count), "asd") for count in (6, 9, 9)]
    pairs = [(runs[0], runs[1]), (runs[1], runs[2]), (runs[2], runs[0])]
    together = paired_differences(
        [(case_class_values(a, "asd"), case_class_values(b, "asd")) for a, b in pairs], "asd", seed=2
    )
    for found, pair in zip(together, pairs, strict=True):
        alone = paired_difference(*pair, "asd", seed=2)
        assert found.pop("interval") == pytest.approx(alone.pop("interval"), rel=1e-12)
        assert found == alone


@pytest.mark.slow
def test_thousands_of_cases_stay_within_memory():
    """All resamples of 3,000 cases at once would take 120 MB."""
    generator = np.random.Generator(np.random.PCG64(0))
    rows = [row for code in (1, 2, 3) for row in rows_of(generator.random(3000), code=code)]
    tracemalloc.start()
    summarise(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6


def test_ties_leave_the_signed_rank_test_exact():
    """Four gains among 26 ties: p is 2 / 2**4, as of the four alone."""
    before = [{"case": f"c{n}", "class": 1, "dice": 0.5} for n in range(30)]
    after = [{**row, "dice": 0.5 + 0.1 * number * (number < 5)} for number, row in enumerate(before)]
    found = paired_difference(before, after, "dice")
    assert (found["p"], found["tied"], found["better"]) == (0.125, 26, 4)


def test_rounding_is_no_difference():
    """Means of .1, .2, .3 in two orders differ in the last digit."""
    rows = [
        [{"case": "c", "class": n, "dice": value} for n, value in enumerate(of)]
        for of in ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    ]
    found = paired_difference(*rows, "dice")
    assert (found["tied"], found["worse"], found["difference"]) == (1, 0, 0)


def test_groups_are_summarised_each_for_itself():
    """Over classes first; cases of no group are left out, undefined values counted."""
    values = {("a", 1): 0.2, ("a", 2): 0.4, ("b", 1): 0.9, ("b", 2): math.nan, ("c", 1): 0.5, ("c", 2): 0.5}
    rows = [{"case": case, "class": code, "dice": value, "hd95": 1.0} for (case, code), value in values.items()]
    found = by_group(rows, {"a": "one", "b": "other"}, "dice")
    assert list(found) == ["one", "other"]
    assert found["one"]["mean"] == pytest.approx(0.3)
    assert found["one"]["interval"] is None
    assert found["other"]["mean"] == pytest.approx(0.9)
    assert (found["other"]["n"], found["other"]["undefined"]) == (1, 1)
