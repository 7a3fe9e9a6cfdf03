"""Tables of starts: means and gains that can be worked out, and what sentences say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.summary_file import CheckpointFigures, RunSummary, ScoredCase
from mednoisy.report.reading.runs import Run
from mednoisy.report.starts_page import write_starts_page
from mednoisy.report.tables.start_tables import (
    PretextCost,
    StartedRow,
    cost_line,
    figures_of,
    gain_lines,
    start_lines,
    verdicts,
)

CASES = [f"c{number}" for number in range(12)]
WIGGLE = [0.01 * (number % 5 - 2) for number in range(len(CASES))]  # what a mean over ten cases does not see
NASTY = "<script>alert(1)</script> & ü"


def run_of(dice: float, regions: Sequence[str] = (), shift: float = 0.0, labels: int = 3) -> Run:
    """Twelve cases around a Dice, regions `shift` above that."""
    scores = [
        {"checkpoint": checkpoint, "predictor": "student", "case": case, "class": 1, "dice": value + wiggle}
        for checkpoint, value in (("honest", 0.0), ("final", dice))
        for case, wiggle in zip(CASES, WIGGLE, strict=True)
    ]
    of_regions = [
        {**row, "set": "skin or not", "region": region, "class": number, "dice": row["dice"] + shift}
        for row in scores
        for number, region in enumerate(regions)
    ]
    figures = {"final": CheckpointFigures(1, {"student": PredictorFigures({}, {}, len(CASES))})}
    cases = tuple(ScoredCase(case, "r", "p") for case in CASES)
    names = {code: f"class {code}" for code in range(labels)}
    summary = RunSummary({"method": "m", "seconds": 90}, names, "student", "honest", figures, 0, cases)
    return Run(Path("run"), "run", summary, [], scores, [], of_regions)


def rows_of(dice: dict[str, dict[int, float]], seeds: Sequence[int] = (0,), **more) -> list[StartedRow]:
    """By start and labels."""
    return [
        StartedRow("supervised", start, labeled, {seed: run_of(value + 0.001 * seed, **more) for seed in seeds})
        for start, of_labels in dice.items()
        for labeled, value in of_labels.items()
    ]


ROWS = {"scratch": {4: 0.4, 8: 0.5}, "restoration": {4: 0.5, 8: 0.5}, "r50": {4: 0.3}}


def test_means_and_shares():
    lines = start_lines(rows_of(ROWS), ["classes"], 16)
    assert [(line["start"], line["labels"]) for line in lines] == [
        ("scratch", "4 (25 %)"),
        ("scratch", "8 (50 %)"),
        ("restoration", "4 (25 %)"),
        ("restoration", "8 (50 %)"),
        ("r50", "4 (25 %)"),
    ]
    mean = 100 * (0.4 + sum(WIGGLE) / len(WIGGLE))
    assert lines[0]["Dice %, classes"].startswith(f"{mean:.1f} (")
    assert start_lines(rows_of(ROWS), ["classes"], None)[0]["labels"] == "4"


def test_gains_are_over_the_same_labels_from_scratch():
    lines = gain_lines(rows_of(ROWS, seeds=(0, 1, 2)), ["classes"], None)
    assert [(line["start"], line["labels"], line["seeds"]) for line in lines] == [
        ("restoration", "4", "3"),
        ("restoration", "8", "3"),
        ("r50", "4", "3"),
    ]
    assert [line["gain, classes"].split(" ")[0] for line in lines] == ["+10.0", "+0.0", "−10.0"]
    assert gain_lines(rows_of({"restoration": {4: 0.5}}), ["classes"], None) == []


def test_seeds_that_only_one_of_two_has_are_no_pair():
    scratch, restored = rows_of({"scratch": {4: 0.4}, "restoration": {4: 0.5}}, seeds=(0, 1))
    assert gain_lines([replace(scratch, runs={0: run_of(0.4)}), restored], ["classes"], None)[0]["seeds"] == "1"
    assert gain_lines([replace(scratch, runs={7: run_of(0.4)}), restored], ["classes"], None) == []


def test_sentences_tell_better_worse_and_undecided():
    assert verdicts(rows_of(ROWS), ["classes"], 16) == [
        "restoration against scratch, classes: better at 4 (25 %); undecided at 8 (50 %).",
        "r50 against scratch, classes: worse at 4 (25 %).",
    ]


def test_regions_have_figures_of_their_own():
    """A set of as many regions as there are codes stands in the place of the mean over classes."""
    two = {"regions": ("not skin", "skin"), "shift": 0.2}
    rows = rows_of({"scratch": {4: 0.4}, "restoration": {4: 0.5}}, **two)
    runs = [run for row in rows for run in row.runs.values()]
    assert figures_of(runs) == ["classes", "skin or not"]
    (line, _) = start_lines(rows, ["classes", "skin or not"], None)
    first, second = (float(line[f"Dice %, {name}"].split(" ")[0]) for name in ("classes", "skin or not"))
    assert second - first == pytest.approx(20, abs=0.11)
    assert figures_of([run_of(0.4, ("not skin", "skin"), labels=2)]) == ["skin or not"]
    assert figures_of([run_of(0.4)]) == ["classes"]


def test_costs():
    line = cost_line(PretextCost("restoration", 1200, (1.0, 2.0)))
    assert list(line.values()) == ["restoration", "1,200", "1.5", "2"]
    assert list(cost_line(PretextCost("restoration", 5, ())).values())[2:] == ["–", "0"]


def test_the_page_is_whole_and_takes_names_as_text(tmp_path):
    rows = [replace(row, group=NASTY) for row in rows_of(ROWS, regions=("a", "b"))]
    write_starts_page(tmp_path, NASTY, rows, None, [PretextCost("restoration", 5, (0.5,))])
    page = (tmp_path / "starts.html").read_text(encoding="utf-8")
    assert NASTY not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; ü") >= 2
    assert "better at 4; undecided at 8." in page
    assert page.count("<picture") == 2
    assert (tmp_path / "starts.md").read_text(encoding="utf-8").count("| restoration |") == 4
