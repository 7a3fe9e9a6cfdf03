"""Grids of runs: what is run, what is not run again, and the table."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from mednoisy import study as study_module
from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import read_metrics
from mednoisy.study import Study
from tests.small_runs import SMALL, small_dataset

HONEST = "Dice, honest (no validation: the last)"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test phantoms, the latter of two centres."""
    folder = small_dataset(tmp_path_factory.mktemp("phantoms"))
    content = json.loads((folder / "datalist.json").read_text())
    for case, centre in zip(content["test"], "AB", strict=True):
        case["centre"] = centre
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """Runs happen in this process, which is faster; their commands."""
    commands: list[list[str]] = []

    def finish(command: list[str], threads: int | None) -> tuple[int, bool]:
        assert command[:3] == [sys.executable, "-m", "mednoisy"]
        commands.append(command)
        return main(command[3:]), False

    monkeypatch.setattr(study_module, "_finish", finish)
    return commands


def small_study(dataset: Path, output: Path, **changes) -> Study:
    arguments = {"methods": ["supervised", "sdcl"], "labeled": [2], "seeds": [0], "steps": 2, "settings": SMALL}
    return Study(bundle="phantom", data=dataset, output=output, **(arguments | changes))


def without_minutes(table: str) -> list[str]:
    """A table's lines without the training time, which varies."""
    return [line.rsplit("|", 2)[0] for line in table.splitlines()]


def test_a_study_runs_what_is_missing_and_nothing_else(dataset, tmp_path, started):
    study = small_study(dataset, tmp_path / "study")
    assert study.run() == []
    assert [command[command.index("--method") + 1] for command in started] == ["supervised", "sdcl"]
    table = study.table_file.read_text()
    shutil.rmtree(tmp_path / "study" / "runs" / "supervised-2-labeled-seed0")
    assert study.run() == []
    assert [command[command.index("--method") + 1] for command in started[2:]] == ["supervised"]
    assert without_minutes(study.table_file.read_text()) == without_minutes(table)

    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert header[:6] == ["labeled", "method", "recipe", "predictor", HONEST, "Dice, final"]
    assert [line[1:4] for line in lines] == [
        ["supervised", "default", "student (deployed)"],
        ["sdcl", "default", "mean (deployed)"],
        *(["sdcl", "default", predictor] for predictor in ("a", "b", "teacher")),
    ]
    with open(tmp_path / "study" / "rows.csv", newline="", encoding="utf-8") as stream:
        rows = {(row["method"], row["checkpoint"], row["predictor"]): row for row in csv.DictReader(stream)}
    for line in lines:
        row = rows[line[1], "final", line[3].split()[0]]
        assert line[5] == f"{100 * float(row['dice']):.1f}"
    assert (tmp_path / "study" / "comparison.html").is_file()

    header, _, *lines = (tmp_path / "study" / "groups.md").read_text().splitlines()
    assert "A, 1 case" in header
    assert "B, 1 case" in header
    dice = [float(row["dice"]) for row in read_metrics(study.folder(study.cells[0]) / "scores.csv")]
    assert f"| {100 * dice[-2]:.1f} | {100 * dice[-1]:.1f} | 1 |" in lines[0]


def test_an_interrupted_run_goes_on(dataset, tmp_path, started):
    """A folder that holds a run without a report is resumed."""
    study = small_study(dataset, tmp_path / "study", methods=["supervised"])
    study.run()
    (study.folder(study.cells[0]) / "report.html").unlink()
    assert study.run() == []
    assert ["--resume" in command for command in started] == [False, True]


def test_a_failed_run_is_told_and_the_others_are_run(dataset, tmp_path, started, capsys):
    assert small_study(dataset, tmp_path, labeled=[9, 2], methods=["supervised"]).run() == [
        "supervised-9-labeled-seed0"
    ]
    assert "E217 9 labeled cases are asked for" in capsys.readouterr().err
    assert (tmp_path / "runs" / "supervised-2-labeled-seed0" / "report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 3}, "E351 .* has steps 2, this one 3"),
        ({"settings": SMALL | {"width": 4}}, "E351 .* has settings"),
        ({"methods": ["supervised", "own/supervised.yaml"]}, "E101 unknown method 'own/supervised.yaml'"),
        ({"methods": ["supervised:stronk"]}, "E101 unknown recipe 'stronk'. Did you mean 'strong'"),
    ],
)
def test_a_study_of_other_settings_is_refused(changes, message, dataset, tmp_path, started):
    small_study(dataset, tmp_path, labeled=[9]).run()
    known = len(started)
    with pytest.raises(UserError, match=message):
        small_study(dataset, tmp_path, **changes).run()
    assert len(started) == known


def test_the_grid_varies_methods_first_and_holds_no_row_twice():
    study = Study("phantom", Path("d"), Path("o"), ["bcp", "bcp:strong", "bcp"], [4, 8], [0, 1], steps=2)
    assert [cell.name for cell in study.cells[:3]] == [
        "bcp-4-labeled-seed0",
        "bcp-strong-4-labeled-seed0",
        "bcp-4-labeled-seed1",
    ]
    assert len(study.cells) == 8


SAVES_WHEN_STOPPED = """
import os, pathlib, signal, sys, time
def save(number, frame):
    time.sleep(0.6)
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit(1)
signal.signal(signal.SIGTERM, save)
os.kill(os.getppid(), getattr(signal, sys.argv[2]))
time.sleep(60)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stopped_study_lets_its_run_save(name, tmp_path):
    """The signal is passed on, and the study waits until the run has ended."""
    code, stopped = study_module._finish([sys.executable, "-c", SAVES_WHEN_STOPPED, str(tmp_path / "last.pt"), name])
    assert (code, stopped) == (1, True)
    assert (tmp_path / "last.pt").read_text() == "saved"
