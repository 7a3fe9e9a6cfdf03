from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from scipy import stats

from mednoisy.evaluation.ranking import compare, holm
from mednoisy.evaluation.resampling import RESAMPLES, resamples
from mednoisy.evaluation.statistics import paired_difference


def rows_of(values, metric="dice", code=1):
    return [{"case": f"c{number}", "class": code, metric: value} for number, value in enumerate(values)]


def noisy_runs(count, cases, metric="dice"):
    """Runs on equal cases, of which later ones are slightly better."""
    generator = np.random.Generator(np.random.PCG64(5))
    level = generator.beta(8, 2, cases)
    return {
        f"run {number}": rows_of(level + 0.004 * number + generator.normal(0, 0.03, cases), metric)
        for number in range(count)
    }


def test_holm_by_hand():
    """0.005 x 4, 0.01 x 3, 0.03 x 2 and 0.04 x 1, the last raised to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1, 1]


def test_tests_that_were_not_made_are_not_counted():
    assert holm([None, 0.01, None, 0.02]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([]) == []


def test_every_pair_is_the_paired_difference():
    runs = noisy_runs(4, 12)
    found = compare(runs, "dice", seed=3)
    names = list(runs)
    assert [(pair["baseline"], pair["other"]) for pair in found["pairs"]] == [
        (before, after) for place, before in enumerate(names) for after in names[place + 1 :]
    ]
    for pair in found["pairs"]:
        alone = paired_difference(runs[pair["baseline"]], runs[pair["other"]], "dice", seed=3)
        assert pair["interval"] == pytest.approx(alone.pop("interval"), rel=1e-12)
        assert {name: pair[name] for name in alone} == alone
    assert [pair["p_holm"] for pair in found["pairs"]] == holm([pair["p"] for pair in found["pairs"]])


def test_ranking_by_hand():
    """Two cases: a resample is (2, 0), (1, 1) or (0, 2) times them, with chances 1/4, 1/2, 1/4.

    Means of a are 0.9, 0.6, 0.3, of b 0.5 throughout, of c 0.1, 0.2, 0.3: b leads in the last, where a and c tie.
    """
    found = compare({"c": rows_of([0.1, 0.3]), "b": rows_of([0.5, 0.5]), "a": rows_of([0.9, 0.3])}, "dice")
    assert [entry["run"] for entry in found["ranking"]] == ["a", "b", "c"]
    assert [entry["mean"] for entry in found["ranking"]] == pytest.approx([0.6, 0.5, 0.2])
    assert [entry["rank"] for entry in found["ranking"]] == [1, 2, 3]
    assert [entry["rank_interval"] for entry in found["ranking"]] == [[1, 2.5], [1, 2], [2.5, 3]]
    a, b, c = (entry["shares"] for entry in found["ranking"])
    error = 3 * math.sqrt(0.25 * 0.75 / RESAMPLES)
    assert a == pytest.approx([3 / 4, 1 / 8, 1 / 8], abs=error)
    assert b == pytest.approx([1 / 4, 3 / 4, 0], abs=error)
    assert c == pytest.approx([0, 1 / 8, 7 / 8], abs=error)
    assert [entry["first"] for entry in found["ranking"]] == [shares[0] for shares in (a, b, c)]
    level = stats.kendalltau([1, 2, 3], [2.5, 1, 2.5]).statistic
    assert found["stability"] == pytest.approx(3 / 4 + level / 4, abs=2 * error)


def test_stability_is_the_mean_of_scipys_tau():
    runs = noisy_runs(5, 10)
    values = np.array([[row["dice"] for row in rows] for rows in runs.values()]).T
    times = np.concatenate(list(resamples(10, 0)))[:300]
    peer = [stats.kendalltau(values.mean(axis=0), draw @ values / 10).statistic for draw in times]
    assert compare(runs, "dice")["stability"] == pytest.approx(np.mean(peer), abs=4 * np.std(peer) / math.sqrt(300))


def test_lower_distances_rank_first():
    found = compare({"far": rows_of([5.0, 9.0], "hd95"), "near": rows_of([4.0, 1.0], "hd95")}, "hd95")
    assert [entry["run"] for entry in found["ranking"]] == ["near", "far"]
    assert found["ranking"][0]["first"] == 1
    assert found["stability"] == 1
    assert found["pairs"][0]["better"] == 2


def test_equal_runs_share_their_rank():
    values = np.random.Generator(np.random.PCG64(0)).random(7)
    found = compare({"a": rows_of(values), "b": rows_of(values), "low": rows_of(values - 0.5)}, "dice")
    assert [entry["rank"] for entry in found["ranking"]] == [1.5, 1.5, 3]
    assert [entry["shares"] for entry in found["ranking"]] == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    assert compare({"a": rows_of(values), "b": rows_of(values)}, "dice")["stability"] is None


def test_a_tie_after_resampling_does_not_count_as_stable():
    """The runs differ in one case of two, which a quarter of the resamples lack."""
    found = compare({"a": rows_of([0.5, 0.6]), "b": rows_of([0.5, 0.7])}, "dice")
    assert found["stability"] == pytest.approx(0.75, abs=0.02)


def test_an_empty_prediction_gains_nothing():
    """Without its hopeless case the mean of `misses` is 2, better than 3; on the shared cases it is worse."""
    misses, whole = rows_of([2.0, math.nan, 2.0], "hd95"), rows_of([1.0, 7.0, 1.0], "hd95")
    found = compare({"misses": misses, "whole": whole}, "hd95")
    assert [(entry["run"], entry["mean"]) for entry in found["ranking"]] == [("whole", 1), ("misses", 2)]
    assert (found["cases"], found["left_out"]) == (2, 1)
    assert (found["pairs"][0]["n"], found["pairs"][0]["undefined"]) == (2, 1)


def test_a_missed_class_gains_nothing():
    """In both cases `misses` lacks the hard second class, and is worse in the first."""
    misses = rows_of([2.0, 2.0], "hd95") + rows_of([math.nan] * 2, "hd95", code=2)
    whole = rows_of([1.0, 1.0], "hd95") + rows_of([9.0, 9.0], "hd95", code=2)
    found = compare({"misses": misses, "whole": whole}, "hd95")
    assert [(entry["run"], entry["mean"]) for entry in found["ranking"]] == [("whole", 1), ("misses", 2)]
    assert (found["pairs"][0]["difference"], found["pairs"][0]["better"]) == (-1, 2)
    assert (found["missed"], found["shared"], found["left_out"]) == (2, 4, 0)


def test_cases_that_not_all_runs_have_are_counted():
    found = compare({"a": rows_of([0.5, 0.6, 0.7]), "b": rows_of([0.6, 0.7]), "c": rows_of([0.4, 0.5, 0.1])}, "dice")
    assert (found["cases"], found["left_out"]) == (2, 1)
    assert [(pair["n"], pair["unpaired"]) for pair in found["pairs"]] == [(2, 1), (3, 0), (2, 1)]
    assert json.loads(json.dumps(found)) == found


def test_one_case_leaves_uncertainty_open():
    found = compare({"a": rows_of([0.5]), "b": rows_of([0.6])}, "dice")
    assert [entry["run"] for entry in found["ranking"]] == ["b", "a"]
    assert all(entry[name] is None for entry in found["ranking"] for name in ("rank_interval", "first", "shares"))
    assert found["stability"] is None


def test_patients_are_drawn_anew_not_cases():
    """Two patients as in the ranking by hand, the second with three cases alike.

    A resample of one patient twice is as that patient, one of both has the mean over four cases.
    """
    runs = {"a": rows_of([0.9, 0.3, 0.3, 0.3]), "b": rows_of([0.5] * 4)}
    patient_of = {"c1": "p", "c2": "p", "c3": "p"}
    found = compare(runs, "dice", patient_of)
    assert (found["cases"], found["patients"], found["pairs"][0]["patients"]) == (4, 2, 2)
    leads = {entry["run"]: entry["first"] for entry in found["ranking"]}
    assert leads["a"] == pytest.approx(1 / 4, abs=0.02)  # the first patient twice
    alone = compare(runs, "dice", dict.fromkeys(("c0", "c1", "c2", "c3"), "p"))
    assert [entry["first"] for entry in alone["ranking"]] == [None, None]


def test_strangers_and_single_runs():
    strangers = compare({"a": rows_of([0.5]), "b": [{"case": "x", "class": 1, "dice": 0.5}]}, "dice")
    assert (strangers["ranking"], strangers["cases"], strangers["left_out"]) == ([], 0, 2)
    assert (strangers["pairs"][0]["p"], strangers["pairs"][0]["p_holm"]) == (None, None)
    single = compare({"a": rows_of([0.5, 0.6])}, "dice")
    assert (single["pairs"], single["ranking"][0]["rank"], single["stability"]) == ([], 1, None)


def test_what_has_no_better_side_is_refused():
    with pytest.raises(ValueError, match="'volume_prediction'; give runs and an overlap or a distance"):
        compare({"a": rows_of([1.0], "volume_prediction")}, "volume_prediction")
    with pytest.raises(ValueError, match="0 runs cannot be ranked"):
        compare({}, "dice")


@pytest.mark.slow
def test_ten_runs_of_a_thousand_cases_take_a_second():
    runs = noisy_runs(10, 1000)
    start = time.process_time()
    found = compare(runs, "dice")
    assert time.process_time() - start < 5  # 0.9 s of one quiet core; a loaded one takes longer
    assert found["cases"] == 1000
