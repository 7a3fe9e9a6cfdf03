"""Real runs of the command line, killed or told to stop from outside."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.blank_plots import COMMAND
from tests.engines.small import assert_same, kept
from tests.small_runs import small_dataset, train_arguments

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
SETTINGS = ["--method", "sdcl", "--steps", "80", "--set", "val_interval=10", "--set", "precision=fp32"]


def started(data: Path, run: Path, *more: str) -> subprocess.Popen:
    command = [*COMMAND, *train_arguments(data, run, *SETTINGS, *more)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def end_of(process: subprocess.Popen) -> str:
    """What a process has told on stderr when it has ended; one that hangs tells where."""
    try:
        return process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate(timeout=PATIENCE)[1]


def wait_for(process: subprocess.Popen, path: Path) -> None:
    """Until `path` is there, or the process has ended."""
    while not path.exists():
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        return


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The dataset, and what a run leaves that nothing stops."""
    folder = tmp_path_factory.mktemp("processes")
    small_dataset(folder / "data")
    process = started(folder / "data", folder / "run")
    stderr = end_of(process)
    assert process.returncode == 0, stderr[-2000:]
    return folder / "data", kept(folder / "run")


def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(tmp_path, whole):
    data, wanted = whole
    run, moments = tmp_path / "run", random.Random(0)
    for attempt in range(3):
        process = started(data, run, *(["--resume"] if (run / "run.json").is_file() else []))
        wait_for(process, run / "run.json" if attempt == 0 else run / "checkpoints" / "last.pt")
        try:
            process.wait(timeout=moments.uniform(0, 4) if attempt else 0.5)
        except subprocess.TimeoutExpired:
            process.kill()
        end_of(process)
    process = started(data, run, "--resume")
    stderr = end_of(process)
    assert process.returncode == 0, stderr[-2000:]
    assert_same(kept(run), wanted)
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_in_one_line_and_the_run_goes_on(tmp_path, whole, number):
    data, wanted = whole
    run = tmp_path / "run"
    process = started(data, run, "--set", "workers=1")
    wait_for(process, run / "checkpoints" / "last.pt")
    process.send_signal(number)
    stderr = end_of(process)
    assert process.returncode == 1, stderr[-2000:]
    (line,) = [line for line in stderr.splitlines() if line.startswith("mednoisy: ")]
    assert line.startswith(f"mednoisy: E331 stopped by {number.name} after step ")
    assert line.endswith("which is saved. Go on with --resume.")
    assert "Traceback" not in stderr
    process = started(data, run, "--resume")
    stderr = end_of(process)
    assert process.returncode == 0, stderr[-2000:]
    assert_same(kept(run), wanted)
