from __future__ import annotations

import json

import pytest

from mednoisy.evaluation.metrics import TABLE_METRICS, write_metrics
from mednoisy.report.plots import page_plots
from mednoisy.report.reading.runs import read_runs


@pytest.fixture
def two_kidneys(tmp_path):
    """An evaluation of two classes that have one name."""
    rows = [{"case": "c1", "class": code} | dict.fromkeys(TABLE_METRICS, value) for code, value in ((1, 0.2), (2, 0.9))]
    write_metrics(tmp_path / "metrics.csv", rows, ("case", "class", *TABLE_METRICS))
    summary = {
        "schema": 2,
        "run": {"title": "kidneys"},
        "labels": {"1": "kidney", "2": "kidney"},
        "deployed": "prediction",
        "shown": "given",
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return read_runs([tmp_path])


def test_classes_of_one_name_are_told_apart_by_their_code(two_kidneys, monkeypatch):
    seen = []
    monkeypatch.setattr(page_plots, "distributions", lambda values, *_, **__: seen.append(values))
    monkeypatch.setattr(page_plots, "bland_altman", lambda series, *_: seen.append(series))
    page_plots.case_plots(two_kidneys, "mm")
    dice, hd95, volumes = seen
    assert {name: value["c1"] for name, value in dice.items()} == pytest.approx({"kidney (1)": 20, "kidney (2)": 90})
    assert list(hd95) == ["kidney (1)", "kidney (2)"]
    assert volumes == {"kidney (1)": ([0.2], [0.2]), "kidney (2)": ([0.9], [0.9])}


def test_axes_of_overlaps_end_at_100_and_of_distances_at_0(two_kidneys, monkeypatch):
    limits = []
    monkeypatch.setattr(page_plots, "distributions", lambda *_, **options: limits.append(options["limits"]))
    monkeypatch.setattr(page_plots, "dots_per_case", lambda *_, **options: limits.append(options["limits"]))
    page_plots.case_plots(two_kidneys, "mm")
    assert limits == [(0, 100), (0, 100), (0, None), (0, None)]
