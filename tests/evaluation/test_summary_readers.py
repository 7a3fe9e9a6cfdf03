"""Whatever reads `summary.json` finds the same figures in it, and refuses a damaged one in the same line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.metrics import TABLE_METRICS, write_metrics
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.evaluation.summary_file import CheckpointFigures, RunSummary, write_summary
from mednoisy.report.reading.runs import read_runs
from mednoisy.report.tables.study_table import study_table
from mednoisy.report.tables.terminal_tables import result_lines
from mednoisy.studies.study import Study


def figures(dice: float) -> PredictorFigures:
    """Of two cases: Dice as given, distances of 2 mm, one of the HD95 undefined."""

    def of_metric(mean: float, undefined: int = 0) -> MetricFigures:
        return MetricFigures(mean, 0.1, mean, (mean, mean), (mean, mean), 2 - undefined, undefined)

    metrics = {"dice": of_metric(dice), "jaccard": of_metric(dice), "hd95": of_metric(2.0, 1), "asd": of_metric(2.0)}
    return PredictorFigures({1: metrics}, metrics, 2)


SUMMARY = RunSummary(
    facts={"method": "supervised", "seconds": 90.0, "processor_seconds": 170.0},
    labels={1: "atrium"},
    deployed="mean",
    shown="honest",
    checkpoints={
        "honest": CheckpointFigures(40, {"mean": figures(0.75), "a": figures(0.5)}),
        "final": CheckpointFigures(50, {"mean": figures(0.625), "a": figures(0.25)}),
    },
    undefined=1,
    cases=(),
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(
        bundle="phantom", data=tmp_path, output=tmp_path, methods=["supervised"], labeled=[2], seeds=[0], steps=50
    )


@pytest.fixture
def finished(study: Study) -> Path:
    """The folder of the study's run, with all that marks it as finished."""
    folder = study.folder(study.cells[0])
    rows = [{"case": case, "class": 1} | dict.fromkeys(TABLE_METRICS, 0.75) for case in ("c1", "c2")]
    write_metrics(folder / "metrics.csv", rows, ("case", "class", *TABLE_METRICS))
    write_summary(folder, SUMMARY)
    (folder / "report.html").touch()
    return folder


def test_a_study_has_a_row_for_each_checkpoint_and_predictor(study, finished):
    rows = study.rows()
    told = ("checkpoint", "predictor", "deployed", "step", "seconds", "dice", "hd95", "undefined")
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("honest", "mean", True, 40, 90.0, 0.75, 2.0, 1),
        ("honest", "a", False, 40, 90.0, 0.5, 2.0, 1),
        ("final", "mean", True, 50, 90.0, 0.625, 2.0, 1),
        ("final", "a", False, 50, 90.0, 0.25, 2.0, 1),
    ]


def test_a_study_reads_runs_whose_processor_time_nobody_recorded(study, finished):
    write_summary(finished, replace(SUMMARY, facts={"method": "supervised", "seconds": 90.0}))
    assert {row["processor_seconds"] for row in study.rows()} == {None}
    assert study_table([row | {"settings": ""} for row in study.rows()]).splitlines()[2].endswith("| – |")


def test_a_terminal_has_a_line_for_each_checkpoint(finished):
    """Of the deployed predictor; the step of `given` is none, and so is not told."""
    honest, final = result_lines(finished)
    assert honest.endswith("step 40), mean, 2 cases: Dice 0.750, HD95 2.00 mm (1 undefined), ASD 2.00 mm")
    assert final.endswith("step 50), mean, 2 cases: Dice 0.625, HD95 2.00 mm (1 undefined), ASD 2.00 mm")
    empty = MetricFigures(None, None, None, None, None, 0, 2)
    nothing = PredictorFigures({}, dict.fromkeys(("dice", "hd95", "asd"), empty), 0)
    given = {"given": CheckpointFigures(None, {"mean": nothing})}
    write_summary(finished, replace(SUMMARY, checkpoints=given, facts={"title": "theirs", "spacing_unit": "voxel"}))
    (line,) = result_lines(finished)
    assert line == "0 cases: Dice undefined, HD95 undefined, ASD undefined"


READERS: dict[str, Callable[[Study, Path], Any]] = {
    "study": lambda study, folder: study.rows(),
    "terminal": lambda study, folder: result_lines(folder),
    "pages": lambda study, folder: read_runs([folder]),
    "prediction": lambda study, folder: read_finished_run(folder),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ('{"schema": 2, "run": {"method": "supervised"}}', "'deployed' is missing"),
        ('{"schema": 7}', "it has schema 7, this program reads 1, 2 and 3"),
        ('{"schema": 2, "run": {"method": "m"}, "deployed": "a", "checkpoints": 3}', "checkpoints is no table"),
    ],
)
def test_every_reader_refuses_damage_in_the_same_line(read, content, cause, study, finished):
    (finished / "summary.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(study, finished)
    line = f"E402 {finished / 'summary.json'} cannot be used: {cause}. "
    assert str(caught.value) == line + "Give the folder of a finished run, or evaluate it again."


def test_the_command_line_refuses_it_too(finished, capsys):
    (finished / "summary.json").write_text('{"schema": 2}', encoding="utf-8")
    assert main(["report", str(finished)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mednoisy: E402 {finished / 'summary.json'} cannot be used: 'run' is missing. ")
