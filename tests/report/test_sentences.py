from __future__ import annotations

import pytest

from mednoisy.evaluation.statistics import summarise
from mednoisy.report.reading.runs import read_runs
from mednoisy.report.sentences import opening, standing, verdict
from mednoisy.report.tables.comparison_tables import compared_by


@pytest.fixture
def two_runs(finished_run):
    """Both with one case."""
    return read_runs([finished_run(name, {"c1": 1}, title=name) for name in ("first", "second")])


def difference(gap, ends=None):
    return {"difference": gap, "n": 8, "better": 5, "interval": ends}


@pytest.mark.parametrize(
    ("gap", "ends", "expected"),
    [
        (None, None, "second and first have no case with a defined Dice in common."),
        (0.0004, None, "second is level with first on 8 test cases (better on 5 of 8)."),
        (
            0.05,
            None,
            "second lies 5.0 Dice points above first on 8 test cases (better on 5 of 8); of one patient there is no "
            "interval, so these cases do not settle which is better.",
        ),
        (
            -0.05,
            [-0.07, -0.02],
            "second is behind first by 5.0 Dice points on 8 test cases (better on 5 of 8, 95 % interval −7.0 to −2.0).",
        ),
        (
            0.05,
            [-0.01, 0.09],
            "second lies 5.0 Dice points above first on 8 test cases (better on 5 of 8, 95 % interval −1.0 to "
            "+9.0); the interval holds 0, so these cases do not settle which is better.",
        ),
    ],
)
def test_a_verdict_says_who_is_ahead_and_how_sure_that_is(two_runs, gap, ends, expected):
    first, second = two_runs
    assert verdict(second, first, difference(gap, ends)) == expected


def test_a_run_stands_where_its_means_are(finished_run):
    """An empty prediction has Dice 0 and no HD95."""
    (run,) = read_runs([finished_run("run", {"c1": 0, "c2": None}, title="ours")])
    figures = summarise(run.metrics)
    assert standing(run, figures, "mm") == (
        "ours reaches a mean Dice of 50.0 % (95 % interval of the mean 0.0 to 100.0) over 2 test cases, "
        "with a mean HD95 of 0.00 mm; 1 value undefined and left out of the means."
    )


def test_an_opening_has_a_verdict_on_each_run_but_the_baseline(two_runs):
    sentences = opening(two_runs, compared_by(two_runs, "dice"))
    assert sentences == [
        "How much the unlabeled scans did in first, second is not known: "
        "a run of --method copy_paste on the same labels, recipe, steps and seed would tell.",
        "second is level with first on 1 test case (better on 0 of 1).",
    ]


@pytest.mark.parametrize("order", [("supervised", "copy_paste", "sdcl"), ("sdcl", "copy_paste", "supervised")])
def test_an_opening_says_first_what_the_unlabeled_scans_did(finished_run, order):
    """Against copy-paste, which is level with SDCL here, not against plain training, far behind both."""
    shifts = {"supervised": 6, "copy_paste": 1, "sdcl": 1}
    runs = read_runs(
        [finished_run(name, {f"c{i}": shifts[name] for i in range(8)}, method=name, title=name) for name in order]
    )
    first, *others = opening(runs, compared_by(runs, "dice"))
    assert first.replace("+", "").replace("−", "") == (  # a mean of zeros may have either sign
        "The unlabeled scans' share: copy_paste mixes images as well and sees no unlabeled scan. "
        "sdcl is level with copy_paste on 8 test cases (better on 0 of 8, 95 % interval 0.0 to 0.0)."
    )
    assert len(others) == 2


def test_a_share_turns_the_pair_round(finished_run):
    """The baseline of the page is the method, and its gain over its rival is positive all the same."""
    shifts = {"sdcl": 1, "copy_paste": 4}
    runs = read_runs(
        [
            finished_run(name, {f"c{i}": shifts[name] + i % 2 for i in range(8)}, method=name, title=name)
            for name in shifts
        ]
    )
    share, verdict_of_rival = opening(runs, compared_by(runs, "dice"))
    assert "sdcl is ahead of copy_paste by" in share
    assert "(better on 8 of 8, 95 % interval +" in share
    assert "copy_paste is behind sdcl by" in verdict_of_rival


@pytest.mark.parametrize("other", [{"recipe": "strong"}, {"labeled": 4}, {"seed": 1}, {"steps": 9}])
def test_a_run_of_other_settings_is_no_rival(finished_run, other):
    runs = read_runs(
        [
            finished_run("sdcl", {"c1": 1, "c2": 2}, title="sdcl"),
            finished_run("rival", {"c1": 1, "c2": 2}, title="rival", method="copy_paste", **other),
        ]
    )
    first = opening(runs, compared_by(runs, "dice"))[0]
    assert first.startswith("How much the unlabeled scans did in sdcl")
    assert "--method copy_paste" in first
