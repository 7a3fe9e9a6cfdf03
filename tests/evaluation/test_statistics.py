from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.resampling import RESAMPLES, resamples
from mednoisy.evaluation.statistics import (
    by_group,
    case_class_values,
    case_values,
    paired_difference,
    paired_differences,
    shared_values,
    summarise,
)


def rows_of(values, metric="dice", code=1):
    return [{"case": f"c{number}", "class": code, metric: value} for number, value in enumerate(values)]


def twins(rows):
    """Every case twice, and the patient whom both are of."""
    doubled = [{**row, "case": f"{row['case']}{half}"} for row in rows for half in ("a", "b")]
    return doubled, {row["case"]: row["case"][:-1] for row in doubled}


def test_figures_of_four_cases():
    figures = summarise(rows_of([1.0, 2.0, 3.0, 6.0, math.nan], "hd95"))
    hd95 = figures.by_class[1]["hd95"]
    assert (hd95.mean, hd95.median, hd95.quartiles) == (3, 2.5, (1.75, 3.75))
    assert hd95.sd == pytest.approx(math.sqrt(14 / 3))
    assert (hd95.n, hd95.undefined, hd95.patients, figures.cases, figures.pairs) == (4, 1, 4, 5, 5)
    assert figures.over_classes["hd95"] == hd95
    assert PredictorFigures.from_json(json.loads(json.dumps(figures.to_json()))) == figures


def test_over_classes_a_case_counts_once():
    rows = rows_of([0.2, 0.4], code=1) + rows_of([0.6, math.nan], code=2)
    assert case_values(rows, "dice") == pytest.approx({"c0": 0.4, "c1": 0.4})
    figures = summarise(rows)
    over = figures.over_classes["dice"]
    assert (over.mean, over.n, over.undefined, figures.pairs) == (pytest.approx(0.4), 2, 1, 4)


def test_interval_is_scipys_with_its_percentiles_farther_out():
    """At 20 patients 1.6 and 98.4 % in place of 2.5 and 97.5: the level of scipy's that has these ends."""
    values = np.random.Generator(np.random.PCG64(2)).beta(8, 2, 20)
    interval = summarise(rows_of(values)).over_classes["dice"].interval
    tail = stats.norm.cdf(-math.sqrt(20 / 19) * stats.t.ppf(0.975, 19))
    assert tail == pytest.approx(0.0159, abs=1e-4)
    peer = stats.bootstrap((values,), np.mean, n_resamples=20000, confidence_level=1 - 2 * tail, method="percentile")
    assert interval == pytest.approx(tuple(peer.confidence_interval), abs=0.005)
    assert interval == summarise(rows_of(values)).over_classes["dice"].interval
    assert interval != summarise(rows_of(values), seed=1).over_classes["dice"].interval


@pytest.mark.parametrize(("values", "n"), [([], 0), ([math.nan], 0), ([0.5], 1)])
def test_too_few_cases_leave_figures_open(values, n):
    over = summarise(rows_of(values)).over_classes
    assert list(over) == (["dice"] if values else [])
    assert all((figures.n, figures.interval) == (n, None) for figures in over.values())


def test_a_patient_is_drawn_with_all_his_cases():
    """Every case twice: the same mean, interval and p as once, whatever their number; as strangers both shrink."""
    generator = np.random.Generator(np.random.PCG64(8))
    for count in (6, 14):  # by Student's t, by bootstrap
        before, after = rows_of(generator.beta(8, 2, count)), rows_of(generator.beta(8, 2, count))
        once = paired_difference(before, after, "dice")
        doubled, patient_of = twins(before)
        twice = paired_difference(doubled, twins(after)[0], "dice", patient_of)
        assert twice["interval"] == pytest.approx(once["interval"], rel=1e-9)
        assert (twice["p"], twice["patients"], twice["n"]) == (once["p"], count, 2 * count)
        strangers = paired_difference(doubled, twins(after)[0], "dice")
        assert strangers["p"] < once["p"]
        assert np.ptp(strangers["interval"]) < 0.8 * np.ptp(once["interval"])
        one, two = summarise(before).over_classes["dice"], summarise(doubled, patient_of).over_classes["dice"]
        assert two.interval == pytest.approx(one.interval, rel=1e-9)
        assert (two.patients, two.n) == (count, 2 * count)


def test_one_patient_has_no_interval_and_one_sign():
    rows, patient_of = rows_of([0.5, 0.6, 0.9]), dict.fromkeys(("c0", "c1", "c2"), "p")
    assert summarise(rows, patient_of).over_classes["dice"].interval is None
    found = paired_difference(rows, rows_of([0.6, 0.7, 0.9]), "dice", patient_of)
    assert (found["interval"], found["p"], found["patients"], found["better"]) == (None, 1, 1, 2)


def test_a_missed_structure_is_as_far_away_as_the_image_reaches():
    """Where both masks are empty nothing is missed. Over classes a case is the mean of its classes."""
    rows = [
        {"case": "a", "class": 1, "dice": 0.8, "hd95": 2.0},
        {"case": "a", "class": 2, "dice": 0.0, "hd95": math.nan},
        {"case": "b", "class": 1, "dice": math.nan, "hd95": math.nan},
        {"case": "b", "class": 2, "dice": 0.5, "hd95": 6.0},
    ]
    figures = summarise(rows, diagonal_of={"a": 100.0, "b": 50.0})
    assert (figures.over_classes["hd95"].mean, figures.over_classes["hd95"].penalised) == (4, (51 + 6) / 2)
    assert (figures.over_classes["hd95"].undefined, figures.pairs) == (2, 4)
    assert [figures.by_class[code]["hd95"].penalised for code in (1, 2)] == [2, 53]
    assert figures.over_classes["dice"].penalised is None
    unknown = summarise(rows, diagonal_of={"b": 50.0})
    assert (unknown.over_classes["hd95"].penalised, unknown.over_classes["hd95"].mean) == (None, 4)


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
    hd95 = summarise(rows_of(values, "hd95")).over_classes["hd95"]
    assert [hd95.mean, hd95.sd, hd95.median] == pytest.approx(
        [values.mean(), values.std(ddof=1), np.median(values)], rel=1e-12
    )
    assert hd95.quartiles == pytest.approx((np.percentile(values, 25), np.percentile(values, 75)), rel=1e-12)


def test_interval_of_a_difference_agrees_with_scipy():
    """Near enough at 100 patients, where the expanded percentiles are 2.4 and 97.6."""
    generator = np.random.Generator(np.random.PCG64(4))
    before, after = generator.beta(8, 2, 100), generator.beta(9, 2, 100)
    interval = paired_difference(rows_of(before), rows_of(after), "dice")["interval"]
    peer = stats.bootstrap((after - before,), np.mean, n_resamples=20000, method="percentile")
    assert interval == pytest.approx(list(peer.confidence_interval), abs=0.003)  # a twentieth of its length


def test_intervals_are_those_of_the_same_resamples_done_one_by_one():
    """Patients of one to three cases; one whose values are undefined is drawn like the others and left out then."""
    generator = np.random.Generator(np.random.PCG64(7))
    patient_of = {f"c{number}": f"p{patient}" for number, patient in enumerate([*range(11), 0, 0, 1, 2])}
    values = generator.random(15)
    values[[3, 11]] = math.nan
    means = []
    for block in resamples(11, 0):
        for times in block.astype(int):
            drawn = [values[number] for number in range(15) for _ in range(times[int(patient_of[f"c{number}"][1:])])]
            means.append(np.nanmean(drawn))
    tail = stats.norm.cdf(-math.sqrt(10 / 9) * stats.t.ppf(0.975, 9))  # ten patients have a value
    figures = summarise(rows_of(values), patient_of).over_classes["dice"]
    assert figures.interval == pytest.approx(tuple(np.quantile(means, (tail, 1 - tail))), abs=1e-12)
    assert (figures.patients, figures.n, figures.undefined) == (10, 13, 2)


def test_resamples_do_not_depend_on_their_blocks(monkeypatch):
    whole = np.concatenate(list(resamples(7, 1)))
    assert whole.shape == (RESAMPLES, 7)
    assert (whole.sum(axis=1) == 7).all()
    monkeypatch.setattr("mednoisy.evaluation.resampling.BLOCK", 7 * 1999)
    blocks = list(resamples(7, 1))
    assert len(blocks) == 6
    assert np.array_equal(np.concatenate(blocks), whole)


def test_metrics_that_some_rows_lack_are_left_out():
    rows = [{"case": "old", "class": 1, "dice": 0.5}, {"case": "new", "class": 1, "dice": 0.7, "assd": 1.0}]
    assert list(summarise(rows).over_classes) == ["dice"]
    assert list(summarise(rows[::-1]).by_class[1]) == ["dice"]
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
    assert (difference["missed"], difference["pairs"], difference["undefined"]) == (1, 4, 0)


def test_many_pairs_are_each_as_if_alone():
    """Pairs with unequal numbers of cases among them."""
    generator = np.random.Generator(np.random.PCG64(6))
    runs = [rows_of(generator.random(count), "asd") for count in (12, 15, 15)]
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
    assert found["one"].mean == pytest.approx(0.3)
    assert found["one"].interval is None
    assert found["other"].mean == pytest.approx(0.9)
    assert (found["other"].n, found["other"].undefined) == (1, 1)
