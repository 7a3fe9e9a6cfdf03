"""The folder of a finished run: summary and tables together."""

from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import Row, write_metrics
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.evaluation.summary_file import RunSummary, write_summary

ROWS: list[Row] = [{"case": "c1", "class": 1, "dice": 0.5}, {"case": "c2", "class": 1, "dice": 0.75}]
SUMMARY = RunSummary({"title": "theirs"}, {1: "atrium"}, "prediction", "given", {}, 0, ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_summary(tmp_path, SUMMARY)
    write_metrics(tmp_path / "metrics.csv", ROWS, ("case", "class", "dice"))
    return tmp_path


def test_rows_without_scores_are_those_of_what_is_shown(folder):
    run = read_finished_run(folder)
    assert (run.summary, run.metrics) == (SUMMARY, ROWS)
    assert run.scores == [{"checkpoint": "given", "predictor": "prediction", **row} for row in ROWS]


def test_scores_are_those_of_every_checkpoint_and_predictor(folder):
    scores: list[Row] = [
        {"checkpoint": name, "predictor": predictor, **ROWS[0]} for name in ("honest", "final") for predictor in "ab"
    ]
    write_metrics(folder / "scores.csv", scores, ("checkpoint", "predictor", "case", "class", "dice"))
    assert read_finished_run(str(folder)).scores == scores


@pytest.mark.parametrize(("name", "code"), [("summary.json", "E402"), ("metrics.csv", "E401"), ("scores.csv", "E401")])
def test_a_damaged_file_is_refused_by_name(folder, name, code):
    (folder / name).write_text("nothing", encoding="utf-8")
    with pytest.raises(UserError, match=f"^{code} .*{name}"):
        read_finished_run(folder)


def test_a_table_that_is_gone_is_refused(folder):
    (folder / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"^E401 .*metrics\.csv is no table of metrics: .*No such file"):
        read_finished_run(folder)
