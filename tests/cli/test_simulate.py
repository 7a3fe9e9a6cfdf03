"""`mednoisy simulate` as it is called, with trainings of two steps; killed in the middle and called again."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.data.phantoms import make_dataset
from mednoisy.simulation import simulation
from tests.blank_plots import COMMAND
from tests.small_runs import SMALL_ARGUMENTS

TIMES = ("seconds", "processor_seconds")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of four phantoms, and one that is scored."""
    folder = tmp_path_factory.mktemp("phantoms")
    make_dataset(folder, labeled=3, unlabeled=1, test=1)
    return folder


def command(data: Path, output: Path) -> list[str]:
    words = [*COMMAND, "simulate", "phantom", "--data", str(data), "--output", str(output)]
    words += ["--strategies", "foreground_random_66", "--methods", "supervised", "--start", "1"]
    return [*words, "--budget", "2", "--rounds", "1", "--steps", "2", "--device", "cpu", *SMALL_ARGUMENTS]


def rows(output: Path) -> list[dict[str, str]]:
    """Of `rows.csv`, without what the clock says."""
    with open(output / "rows.csv", newline="", encoding="utf-8") as stream:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_a_killed_simulation_goes_on_to_the_same_rows(phantoms, tmp_path, monkeypatch):
    """Killed once in its second training, once in its third: the training goes with it, and the rest is as without."""
    with monkeypatch.context() as patched:  # nothing befalls this one, so its trainings need no process of their own
        patched.setattr(simulation, "finish", lambda words, threads: (main(words[3:]), False))
        assert main(command(phantoms, tmp_path / "whole")[3:]) == 0
    wanted = rows(tmp_path / "whole")
    assert [(row["strategy"], row["round"], row["patients"]) for row in wanted] == [
        ("foreground_random_66", "0", "1"), ("all_labels", "", "4"), ("foreground_random_66", "1", "3"),
    ]  # fmt: skip
    assert all(0 <= float(row["dice"]) <= 1 for row in wanted)
    assert len({row["dice"] for row in wanted}) > 2  # other labels, other networks

    output = tmp_path / "killed"
    last = "runs/supervised-seed0/foreground_random_66/round1/run/run.json"
    for begun in ("all_labels/supervised-seed0/run/run.json", last):
        child = subprocess.Popen(command(phantoms, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 240
        while not (output / begun).is_file():
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        assert not (output / begun).with_name("report.html").exists()
    again = subprocess.run(command(phantoms, output), capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-1] == f"page: {output / 'simulation.html'}"
    assert "training 1 of 3" not in again.stdout
    assert rows(output) == wanted
    assert not list(output.rglob(".partial-*"))
    for path in sorted((tmp_path / "whole").rglob("*.json")):
        name = path.relative_to(tmp_path / "whole")
        if name.name in ("picks.json", "seed0.json", "datalist.json", "simulation.json"):
            assert (output / name).read_text() == path.read_text(), name


@pytest.mark.slow
def test_a_simulation_that_is_stopped_says_how_to_go_on(phantoms, tmp_path):
    child = subprocess.Popen(
        command(phantoms, tmp_path / "s"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ},
    )  # fmt: skip
    while not (tmp_path / "s" / "runs/supervised-seed0/start/run/run.json").is_file():
        assert child.poll() is None
        time.sleep(0.02)
    child.terminate()
    _, told = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "mednoisy: E534 supervised, seed 0, start was stopped. Call the simulation again to go on." in told
