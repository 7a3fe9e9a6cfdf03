"""One builder of rows for pages and terminals."""

from __future__ import annotations

import re

import pytest

from mednoisy.report.reading.runs import read_runs
from mednoisy.report.tables.comparison_tables import compared_by, comparison, pair_rows, rank_rows
from mednoisy.report.tables.terminal_tables import comparison_lines

SHIFTS = {"near": (0, 1, 1), "middle": (2, 2, 3), "far": (4, 5, None)}


@pytest.fixture
def folders(finished_run):
    return [
        finished_run(name, {f"c{number}": shift for number, shift in enumerate(shifts)}, title=name)
        for name, shifts in SHIFTS.items()
    ]


def test_rows_of_a_known_comparison():
    compared = {
        "metric": "dice",
        "pairs": [
            {"baseline": "a", "other": "b", "difference": 0.05, "interval": [-0.01, 0.11], "better": 4, "tied": 1,
             "worse": 2, "p": 0.0156, "p_holm": 0.0002, "n": 7, "patients": 5, "undefined": 2, "unpaired": 1,
             "missed": 5, "pairs": 21},
            {"baseline": "a", "other": "c", "difference": None, "interval": None, "better": 0, "tied": 0, "worse": 0,
             "p": None, "p_holm": None, "n": 0, "patients": 0, "undefined": 0, "unpaired": 0,
             "missed": 0, "pairs": 0},
        ],
        "ranking": [{"run": "b", "rank": 1.5, "mean": 0.9, "rank_interval": [1.0, 2.0], "first": 0.75},
                    {"run": "a", "rank": 1.5, "mean": 0.9, "rank_interval": None, "first": None}],
    }  # fmt: skip
    assert pair_rows(compared) == [
        {"baseline": "a", "run": "b", "difference": "+5.0", "interval": "−1.0 to +11.0", "wins": "4 / 1 / 2",
         "p": "0.016", "p_holm": "< 0.001", "cases": 7, "patients": 5, "left_out": 3, "missed": "5 of 21"},
        {"baseline": "a", "run": "c", "difference": "–", "interval": "", "wins": "0 / 0 / 0",
         "p": "–", "p_holm": "–", "cases": 0, "patients": 0, "left_out": 0, "missed": ""},
    ]  # fmt: skip
    assert rank_rows(compared) == [
        {"run": "b", "rank": "1.5", "mean": "90.0", "interval": "1 to 2", "first": "75 %"},
        {"run": "a", "rank": "1.5", "mean": "90.0", "interval": "", "first": "–"},
    ]


def test_a_page_has_a_cell_for_each_metric(folders):
    runs = read_runs(folders)
    table = comparison(runs)
    assert [(line["baseline"], line["run"]) for line in table["differences"]] == [("near", "middle"), ("near", "far")]
    assert [(line["baseline"], line["run"]) for line in table["pairs"]] == [("middle", "far")]
    assert [line["run"] for line in table["ranking"]] == ["near", "middle", "far"]
    dice = compared_by(runs, "dice")
    assert [line["cells"][0] for line in [*table["differences"], *table["pairs"]]] == pair_rows(dice)
    assert [line["cells"][0] for line in table["ranking"]] == rank_rows(dice)
    assert table["missed"] == ["", "", "1 of 3", "1 of 3"]
    assert table["cases"] == [3, 3, 2, 2]  # the missed case has overlaps of 0 and no distance


def test_a_terminal_shows_the_same_rows(folders):
    """Every pair and every rank with what a page says of them."""
    _, varied, title, pairs, ranked, ranking = comparison_lines(folders, "hd95")
    assert varied.startswith("No case names its patient")
    compared = compared_by(read_runs(folders), "hd95")
    assert title == "differences in HD95 mm; Holm's correction is for all 3 of them:\n"
    assert re.fullmatch(r"ranking by HD95 mm on 2 cases, stability [−\d.]+:\n", ranked)
    for text, rows, keys in (
        (pairs, pair_rows(compared), ("difference", "interval", "wins", "p", "p_holm")),
        (ranking, rank_rows(compared), ("rank", "run", "mean", "interval", "first")),
    ):
        lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines()[2:]]
        assert len(lines) == len(rows) == 3
        for line, row in zip(lines, rows, strict=True):
            assert [cell for cell in line if cell in {row[key] for key in keys}] == [row[key] for key in keys]
    assert "far against middle" in pairs
    assert "| Undefined in either |" in pairs
    assert pairs.count("| 1 of 3 |") == 2


def test_cases_of_one_patient_are_one(finished_run):
    """Known to one of the runs is enough; the ranking says how many patients it uses."""
    origins = {case: {"patient": "p" if case != "c2" else "q"} for case in ("c0", "c1", "c2")}
    folders = [
        finished_run(name, {f"c{number}": shift for number, shift in enumerate(SHIFTS[name])}, title=name, **of)
        for name, of in (("near", {}), ("middle", {"origins": origins}))
    ]
    compared = compared_by(read_runs(folders), "dice")
    assert (compared["pairs"][0]["n"], compared["pairs"][0]["patients"], compared["patients"]) == (3, 2, 2)
    lines = comparison_lines(folders)
    assert "Intervals and tests are by patient: 3 cases of 2 patients.\n" in lines
    assert any(line.startswith("ranking by Dice % on 3 cases of 2 patients, stability") for line in lines)
