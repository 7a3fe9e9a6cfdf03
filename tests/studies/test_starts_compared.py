"""Starts compared from one command: what is trained, shared, gone on with, and shown."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.studies import study as study_module
from mednoisy.studies.study import Study
from tests.blank_plots import COMMAND
from tests.small_runs import as_arguments, small, small_dataset

SETTINGS = small("body_skin") | {"batch_size": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test bodies."""
    return small_dataset(tmp_path_factory.mktemp("bodies"), "body_skin")


def study_of(data: Path, output: Path, **changes) -> Study:
    arguments = {"methods": ["supervised"], "labeled": [1, 2], "seeds": [0], "steps": 4, "settings": SETTINGS}
    return Study("body_skin", data, output, **(arguments | {"starts": ["scratch", "restoration"]} | changes))


def finisher(commands: list[list[str]], instead: Callable[[list[str]], tuple[int, bool] | None] = lambda words: None):
    """Runs happen in this process; `instead` says how some end without one."""

    def finish(command: list[str], threads: int | None) -> tuple[int, bool]:
        commands.append(command[3:])
        return instead(command[3:]) or (main(command[3:]), False)

    return finish


def outputs(commands: list[list[str]]) -> list[str]:
    return [Path(words[words.index("--output" if "--output" in words else "--resume") + 1]).name for words in commands]


@pytest.fixture(scope="module")
def compared(data, tmp_path_factory) -> tuple[Study, list[list[str]]]:
    """A finished study, and the commands that it called."""
    commands: list[list[str]] = []
    study = study_of(data, tmp_path_factory.mktemp("study"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "finish", finisher(commands))
        assert study.run() == []
    return study, commands


def figures(output: Path) -> list[dict[str, str]]:
    """What runs reached, without the time that they took."""
    with open(output / "rows.csv", newline="", encoding="utf-8") as stream:
        return [{key: row[key] for key in row if "seconds" not in key} for row in csv.DictReader(stream)]


def test_a_pretext_is_learned_once_and_shared(compared):
    """By the runs of both numbers of labels; it comes right before the first of them."""
    study, commands = compared
    restored = [f"supervised-from-restoration-{labeled}-labeled-seed0" for labeled in (1, 2)]
    assert outputs(commands) == [
        "supervised-1-labeled-seed0",
        "restoration-seed0",
        restored[0],
        "supervised-2-labeled-seed0",
        restored[1],
    ]
    pretext = study.output / "pretexts" / "restoration-seed0"
    assert (pretext / "checkpoints" / "pretext_restoration.pt").is_file()
    assert commands[1][commands[1].index("--steps") + 1] == "1"  # a quarter of the rows'
    for words in (commands[2], commands[4]):
        assert words[words.index("--pretext-from") + 1] == str(pretext)
    assert not any("--pretext-from" in words for words in (commands[0], commands[1], commands[3]))


def test_the_page_has_a_curve_for_each_start_and_a_plot_for_each_set_of_regions(compared):
    study, _ = compared
    page = (study.output / "starts.html").read_text(encoding="utf-8")
    assert re.findall(r'alt="([^"]*)"', page) == [
        f"Dice of {name} against share of labels, %, a line each for scratch, restoration"
        for name in ("nine classes", "skin or not")
    ]
    told = (study.output / "starts.md").read_text(encoding="utf-8")
    assert "| method | start | labels | Dice %, nine classes | Dice %, skin or not | seeds |" in told
    assert [line.split(" | ")[:3] for line in told.splitlines()[2:6]] == [
        ["| supervised", "scratch", "1 (50 %)"],
        ["| supervised", "restoration", "1 (50 %)"],
        ["| supervised", "scratch", "2 (100 %)"],
        ["| supervised", "restoration", "2 (100 %)"],
    ]
    assert "**Against the same from scratch**" in (study.output / "differences.md").read_text(encoding="utf-8")
    titles = [line.split(" | ")[1] for line in study.table_file.read_text(encoding="utf-8").splitlines()[2:]]
    assert titles == ["supervised", "supervised from restoration"] * 2
    assert [row["start"] for row in figures(study.output)] == ["scratch", "scratch", "restoration", "restoration"] * 2


def test_figures_of_regions_are_in_runs_and_on_their_pages(compared):
    study, _ = compared
    folder = study.folder(study.cells[0])
    with open(folder / "regions.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    of_final = [row for row in rows if (row["checkpoint"], row["set"]) == ("final", "skin or not")]
    assert [(row["case"], row["region"]) for row in of_final] == [
        (case, region) for case in ("test_000", "test_001") for region in ("not skin", "skin")
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h3>Skin or not</h3>" in page
    assert "<h3>Nine classes</h3>" in page


def test_what_is_missing_is_made_again_alike(compared, data, tmp_path, monkeypatch):
    """A run that is gone, of a pretext that was interrupted: it goes on from its folder, then the run is made."""
    study, _ = compared
    copy = tmp_path / "study"
    shutil.copytree(study.output, copy)
    before = figures(copy)
    shutil.rmtree(copy / "runs" / "supervised-from-restoration-2-labeled-seed0")
    (copy / "pretexts" / "restoration-seed0" / "report.html").unlink()
    commands: list[list[str]] = []
    monkeypatch.setattr(study_module, "finish", finisher(commands))
    assert study_of(data, copy).run() == []
    assert outputs(commands) == ["restoration-seed0", "supervised-from-restoration-2-labeled-seed0"]
    assert commands[0][:2] == ["train", "--resume"]
    assert figures(copy) == before
    assert study_of(data, copy).run() == []
    assert len(commands) == 2


def test_starts_may_be_added_and_pretexts_stay_what_they_were(compared, data, tmp_path, monkeypatch):
    study, _ = compared
    copy = tmp_path / "study"
    shutil.copytree(study.output, copy)
    commands: list[list[str]] = []
    monkeypatch.setattr(study_module, "finish", finisher(commands, lambda words: (1, False)))
    failed = study_of(data, copy, starts=["scratch", "restoration", "contrastive"], labeled=[2]).run()
    assert outputs(commands) == ["contrastive-seed0"]
    assert failed == ["contrastive-seed0", "supervised-from-contrastive-2-labeled-seed0"]
    with pytest.raises(UserError, match=r"E351 .* has pretext_steps 1, this one 2"):
        study_of(data, copy, pretext_steps=2).run()
    assert json.loads((copy / "study.json").read_text())["labeled_pool"] == 2
    assert study_of(data, copy, starts=None).run() == []  # the rows from scratch, which are there


def test_a_pretext_that_fails_takes_its_own_rows_along_alone(data, tmp_path, monkeypatch):
    """It is tried once; one that is stopped ends the study."""
    commands: list[list[str]] = []
    fails = finisher(commands, lambda words: (1, False) if "restoration" in words else (0, False))
    monkeypatch.setattr(study_module, "finish", fails)
    assert study_of(data, tmp_path / "a").run() == [
        "restoration-seed0",
        *(f"supervised-from-restoration-{labeled}-labeled-seed0" for labeled in (1, 2)),
    ]
    assert [name.split("-")[0] for name in outputs(commands)] == ["supervised", "restoration", "supervised"]
    stops = finisher(commands, lambda words: (1, True) if "restoration" in words else (0, False))
    monkeypatch.setattr(study_module, "finish", stops)
    with pytest.raises(UserError, match="E350 restoration-seed0 was stopped"):
        study_of(data, tmp_path / "b").run()


def test_a_method_of_two_networks_has_both_started(data, tmp_path, monkeypatch, capsys):
    """The pretext trains one of each kind."""
    commands: list[list[str]] = []
    monkeypatch.setattr(study_module, "finish", finisher(commands))
    changes = {"methods": ["supervised_pair"], "labeled": [2], "starts": ["restoration"], "steps": 2}
    assert study_of(data, tmp_path, **changes).run() == []
    assert outputs(commands)[0] == "restoration-pair-seed0"
    kept = tmp_path / "pretexts" / "restoration-pair-seed0" / "checkpoints" / "pretext_restoration.pt"
    assert set(torch.load(kept, weights_only=True)["students"]) == {"student", "partner"}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "hands over its encoder" in line]
    counts = re.findall(r"(\d+) of (\d+) entries", line)
    assert len(counts) == 2
    assert all(found == wanted for found, wanted in counts)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # nine trainings, which may share their cores
def test_a_killed_comparison_goes_on_to_the_same_figures(compared, data, tmp_path):
    """From the command line, killed once while the pretext is learned and once while a row trains from it."""
    study, _ = compared
    words = [*COMMAND, "study", "body_skin", "--data", str(data), "--output", str(tmp_path)]
    words += ["--methods", "supervised", "--starts", "scratch", "restoration", "--labeled", "1", "2", "--steps", "4"]
    words += [*as_arguments(SETTINGS), "--set", "device=$torch.device('cpu')"]
    for place in ("pretexts/restoration-seed0", "runs/supervised-from-restoration-1-labeled-seed0"):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 600
        while not (tmp_path / place / "run.json").is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / place / "report.html").is_file()
    assert subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=800).returncode == 0
    assert figures(tmp_path) == figures(study.output)
