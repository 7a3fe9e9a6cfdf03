"""Dice by region on a run's page."""

from __future__ import annotations

from pathlib import Path

from mednoisy.evaluation.metrics import write_metrics
from mednoisy.evaluation.regions import COLUMNS
from mednoisy.report.reading.runs import read_runs
from mednoisy.report.run_page import write_report
from mednoisy.report.tables.region_tables import region_sets, region_tables
from tests.report.tables.test_centre_tables import words

SHIFTS = {"c1": 0, "c2": 2}
DICE = {"not skin": (0.9, 0.7), "skin": (0.5, 0.3)}


def with_regions(folder: Path) -> Path:
    rows = [
        {"checkpoint": checkpoint, "predictor": predictor, "case": case, "set": "skin or not", "region": region,
         "class": number, "dice": values[place] - worse, "jaccard": 0.1}
        for checkpoint in ("honest", "final")
        for predictor, worse in (("mean", 0.0), ("a", 0.2))
        for place, case in enumerate(SHIFTS)
        for number, (region, values) in enumerate(DICE.items())
    ]  # fmt: skip
    write_metrics(folder / "regions.csv", rows, ("checkpoint", "predictor", *COLUMNS))
    return folder


def test_means_are_of_the_deployed_predictor_at_the_shown_checkpoint(finished_run):
    runs = read_runs([with_regions(finished_run("run", SHIFTS))])
    assert region_sets(runs) == {"skin or not": ["not skin", "skin"]}
    (table,) = region_tables(runs)
    assert table["headings"] == ["Mean", "not skin", "skin"]
    assert [cell["mean"] for cell in table["lines"][0]["cells"]] == ["60.0", "80.0", "40.0"]


def test_pages_show_them_and_runs_without_have_none(finished_run, tmp_path):
    plain = finished_run("plain", SHIFTS)
    assert region_tables(read_runs([plain])) == []
    page = write_report([with_regions(finished_run("run", SHIFTS))], tmp_path / "report.html")
    assert "Skin or not Dice % of each region" in words(page)
    both = write_report([plain, with_regions(finished_run("other", SHIFTS))], tmp_path / "both.html")
    assert words(both).count("Skin or not Dice % of each region") == 1
