"""Tables of a run that lack what a page shows are refused by name."""

from __future__ import annotations

import json

import pytest

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import write_metrics
from mednoisy.evaluation.summary_file import RunSummary, write_summary
from mednoisy.report.reading.rounds import FACT_NAMES, read_facts
from mednoisy.report.reading.runs import _progress


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("step,dice\n1,2\n", "it lacks the columns step and stage"),
        ("step,stage\na,b\n", "a row is of step 'a'"),
        ("step,stage,seconds\n1,b,soon\n", "could not convert string to float: 'soon'"),
        ("step,stage\n1\n", "line 2 has another number of cells"),
    ],
)
def test_progress_that_is_none(tmp_path, content, why):
    (tmp_path / "progress.csv").write_text(content)
    with pytest.raises(UserError, match=f"E404 .*progress.csv cannot be used: {why}"):
        _progress(tmp_path / "progress.csv")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (("dice",), "it lacks the columns jaccard, hd95, asd"),
        (("dice", "jaccard", "hd95"), "it lacks the columns asd"),
        (
            ("dice", "jaccard", "hd95", "asd", "volume_reference"),
            "it lacks the columns volume_prediction",
        ),
    ],
)
def test_metrics_without_the_columns_that_a_page_shows(tmp_path, capsys, columns, why):
    write_summary(tmp_path, RunSummary({"title": "theirs"}, {1: "atrium"}, "prediction", "given", {}, 0, ()))
    row = {"case": "c1", "class": 1, **dict.fromkeys(columns, 0.5)}
    write_metrics(tmp_path / "metrics.csv", [row], ("case", "class", *columns))
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "page.html")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    cure = "Restore the file, or score again by mednoisy evaluate"
    assert line == f"mednoisy: E404 {tmp_path / 'metrics.csv'} cannot be used: {why}. {cure}."
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("dice", "../..", "dice is no number"),
        ("share_kept", " ", "share_kept is no number"),
        ("kept", None, "kept is no whole number from 0 on"),
        ("rules", 3, "rules is no table"),
        ("stage", {}, "stage is no text"),
    ],
)
def test_facts_of_a_round_of_another_type(tmp_path, name, value, why):
    facts = dict.fromkeys(FACT_NAMES, "a") | dict.fromkeys(("share_kept", "confidence", "area", "dice"), 0.5)
    facts |= {"teacher_step": 2, "kept": 2, "unlabeled": 2, "rules": {}, "dice_kept": None}
    path = tmp_path / "round.json"
    path.write_text(json.dumps(facts))
    assert read_facts(path) == facts
    path.write_text(json.dumps(facts | {name: value}))
    with pytest.raises(UserError, match=f"E404 .*round.json cannot be used: {why}"):
        read_facts(path)
