"""Grids of runs: what is run, what is not run again, and the table."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import read_metrics
from mednoisy.studies import study as study_module
from mednoisy.studies.rows import Row
from mednoisy.studies.study import Study
from tests.small_runs import SMALL, as_arguments, small_dataset

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

    monkeypatch.setattr(study_module, "finish", finish)
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
    """A folder that holds a run without a report is resumed, by what it holds alone where it holds all."""
    study = small_study(dataset, tmp_path / "study", methods=["supervised"])
    study.run()
    folder = study.folder(study.cells[0])
    (folder / "report.html").unlink()
    assert study.run() == []
    assert started[1][3:] == ["train", "--resume", str(folder)]
    (folder / "report.html").unlink()
    (folder / "config.yaml").unlink()
    assert study.run() == []
    assert started[2] == [*started[0], "--resume"]


def test_runs_of_a_study_may_be_cross_validated(dataset, tmp_path, started):
    """Their figures are of the labeled cases; another number of folds is another study."""
    settings = SMALL | {"batch_size": 1}
    study = small_study(dataset, tmp_path, methods=["supervised"], settings=settings, folds=2)
    assert study.run() == []
    assert started[0][started[0].index("--folds") + 1] == "2"
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["checkpoint"] == "final"]
    cases = {row["case"] for row in read_metrics(study.folder(study.cells[0]) / "metrics.csv")}
    assert cases == {"labeled_000", "labeled_001"}
    assert f"| {100 * float(row['dice']):.1f} |" in study.table_file.read_text()
    assert study.run() == []
    assert len(started) == 1
    for changes, message in (({"folds": None}, "E351 .* has folds 2, this one None"), ({"validation": 1}, "E113 ")):
        with pytest.raises(UserError, match=message):
            small_study(
                dataset, tmp_path, **({"methods": ["supervised"], "settings": settings, "folds": 2} | changes)
            ).run()


def test_rows_with_settings_of_their_own(dataset, tmp_path, started):
    """They are told apart in folders, rows and table, and win over the study's settings."""
    rows = ["supervised", "supervised width=3", Row("supervised", settings={"width": 4}, name="wide")]
    study = small_study(dataset, tmp_path, methods=rows)
    assert study.run() == []
    names = ["supervised", "supervised-width=3", "wide"]
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == [f"{n}-2-labeled-seed0" for n in names]
    configs = [yaml.safe_load((study.folder(cell) / "config.yaml").read_text()) for cell in study.cells]
    assert [config["width"] for config in configs] == [2, 3, 4]
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as stream:
        listed = [(row["method"], row["settings"]) for row in csv.DictReader(stream) if row["checkpoint"] == "final"]
    assert listed == [("supervised", ""), ("supervised", "width=3"), ("supervised", "width=4")]
    lines = [line.split("|")[2].strip() for line in study.table_file.read_text().splitlines()[2:]]
    assert lines == ["supervised", "supervised width=3", "wide"]
    told = (tmp_path / "differences.md").read_text()
    assert "Against" not in told  # rows of supervised training under the default recipe have no rival
    assert told.startswith("No case names its patient")
    groups = (tmp_path / "groups.md").read_text()
    assert all(f"| {title} |" in groups for title in lines)
    assert study.run() == []
    assert len(started) == 3

    known = len(started)
    for changes, message in (
        ({"methods": [Row("supervised", settings={"width": 5}, name="wide")]}, "E351 .* has row 'wide' .*4', this one"),
        ({"methods": [Row("copy_paste", name="supervised")]}, "E351 .* has row 'supervised' 'supervised:default'"),
        ({"methods": ["supervised width=3", Row("copy_paste", name="supervised-width=3")]}, "E352 2 rows would be"),
    ):
        with pytest.raises(UserError, match=message):
            small_study(dataset, tmp_path, **changes).run()
    assert len(started) == known


def test_a_study_from_a_file_and_its_page(dataset, tmp_path, started, monkeypatch, capsys):
    """`mednoisy study --file`, then `benchmarks/study_page.py` between what else the page says."""
    settings = {key: value for key, value in SMALL.items() if key != "device"} | {"val_interval": 1}
    study = {"bundle": "phantom", "rows": ["supervised", "copy_paste"], "labeled": [2], "steps": 2, "validation": 1}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study | {"settings": settings}))
    file, output, page = tmp_path / "small.yaml", tmp_path / "study", tmp_path / "page.md"
    assert main(["study", "--file", str(file), "--data", str(dataset), "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(output / "table.md")

    start, end = "<!-- small, made by benchmarks/study_page.py -->", "<!-- end -->"
    page.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    script = Path(__file__).parents[2] / "benchmarks" / "study_page.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(file), str(output), str(page)])
    runpy.run_path(str(script), run_name="__main__")
    text = page.read_text()
    assert text.startswith(f"before\n{start}\n\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    assert (output / "table.md").read_text() in text
    assert (output / "differences.md").read_text() in text
    assert "| 2 | copy_paste | supervised |" in text
    assert "Holm's correction is for all differences of these tables together, 1 of them." in text
    assert "No case names its patient" in text
    assert "small_labels.png" not in text
    for name in ("small_minutes.png", "small_steps.png", "small_cases.png"):
        assert f"({name})" in text
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_rows_in_a_file_of_their_own(dataset, tmp_path, started):
    (tmp_path / "rows.yaml").write_text("- {method: supervised, settings: {width: 3}, name: wide}\n")
    arguments = ["--labeled", "2", "--steps", "2", *as_arguments(SMALL), "--rows", str(tmp_path / "rows.yaml")]
    places = ["--data", str(dataset), "--output", str(tmp_path / "study")]
    assert main(["study", "phantom", *places, *arguments]) == 0
    assert "| wide |" in (tmp_path / "study" / "table.md").read_text()


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
        ({"methods": ["supervised", "sdcl teechers=each"]}, "E103 the configuration has no entry 'teechers'"),
        ({"methods": ["sdcl", "supervised teacher_decay=0.9"]}, "E103 the configuration has no entry 'teacher_decay'"),
        ({"methods": ["sdcl labeled=3"]}, "E356 the setting 'labeled' is what a study gives to each of its runs"),
        ({"methods": ["supervised"], "settings": {"seed": 3}}, "E356 the setting 'seed' is what a study gives"),
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
    code, stopped = study_module.finish([sys.executable, "-c", SAVES_WHEN_STOPPED, str(tmp_path / "last.pt"), name])
    assert (code, stopped) == (1, True)
    assert (tmp_path / "last.pt").read_text() == "saved"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "it holds no table"),
        ('{"rows": 3}', "it holds no table"),
        ("[" * 5000, "it is nested deeper than"),
    ],
)
def test_a_damaged_note_of_a_study_is_refused_and_nothing_is_run(dataset, tmp_path, started, capsys, content, why):
    output = tmp_path / "study"
    output.mkdir()
    (output / "study.json").write_text(content)
    words = ["study", "phantom", "--data", str(dataset), "--output", str(output), "--steps", "2", "--labeled", "2"]
    assert main([*words, "--methods", "supervised"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"mednoisy: E319 {output / 'study.json'} is damaged: {why}")
    assert told.endswith("Restore it, or give another --output.")
    assert not started
