"""Commands that are stopped or killed: one line, exit code 1, no process and no temporary file left, no lock held."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mednoisy import child_processes
from mednoisy.cli import main
from mednoisy.data.images import write_picture
from mednoisy.files import locked
from tests.blank_plots import COMMAND
from tests.small_runs import small_dataset

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def started(*arguments: str | Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [int(word) for file in tasks.glob("*/children") for word in file.read_text().split()]


def wait_until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def at_work(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source files of a dataset that takes a while to prepare."""
    raw = tmp_path_factory.mktemp("raw")
    array = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    write_picture(raw / "images" / "a0.png", array)
    write_picture(raw / "masks" / "a0.png", array[..., 0] > 100)
    cases = [f"a{number}" for number in range(200)]
    for case in cases[1:]:
        for part in ("images", "masks"):
            os.link(raw / part / "a0.png", raw / part / f"{case}.png")
    (raw / "split.json").write_text(json.dumps({"train": cases[:-1], "val": [], "test": cases[-1:]}))
    return raw


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps that take a while to score."""
    folder = tmp_path_factory.mktemp("maps")
    array = np.random.default_rng(0).integers(0, 2, (100, 100, 40)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / "a0.nii.gz")
    for number in range(1, 300):
        os.link(folder / "a0.nii.gz", folder / f"a{number}.nii.gz")
    return folder


def commands(pictures: Path, maps: Path, output: Path) -> dict[str, list[str | Path]]:
    folders = ["--predictions", maps, "--references", maps, "--output", output]
    return {
        "prepare": ["prepare", "dermoscopy", pictures, output, "--workers", "2"],
        "evaluate": ["evaluate", *folders, "--workers", "2"],
    }


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["prepare", "evaluate"])
def test_no_worker_outlives_its_command(tmp_path, pictures, maps, name, number):
    process = started(*commands(pictures, maps, tmp_path / "out")[name])
    wait_until(lambda: len(children(process.pid)) >= 2)
    workers = children(process.pid)
    process.send_signal(number)
    stderr = process.communicate(timeout=PATIENCE)[1]
    wait_until(lambda: not any(at_work(worker) for worker in workers))
    if number != signal.SIGKILL:
        assert process.returncode == 1, stderr
        assert "Traceback" not in stderr
        lines = [line for line in stderr.splitlines() if line.startswith("mednoisy: ")]
        assert lines == [f"mednoisy: interrupted by {number.name}"]
    with locked(tmp_path / "out"):  # nobody holds it
        pass


@pytest.mark.parametrize("delay", [0.1, 0.5, 1.5, 3.0])
def test_a_signal_while_a_command_loads_or_works_ends_it_in_one_line(tmp_path, maps, delay):
    """Signals during the import of libraries come out as faults of these."""
    text = "import sys; from mednoisy.cli import main; print('here', flush=True); sys.exit(main())"
    folders = ["--predictions", str(maps), "--references", str(maps), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", text, "evaluate", *folders, "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "here\n"
    time.sleep(delay)
    process.terminate()
    stderr = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1, stderr
    assert [line for line in stderr.splitlines() if line.strip()] == ["mednoisy: interrupted by SIGTERM"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_study_takes_its_run_with_it_and_goes_on_when_called_again(tmp_path):
    data = small_dataset(tmp_path / "data")
    more = [word for key in ("patch_size", "stride", "coarse_stride") for word in ("--set", f"{key}=[16,16,16]")]
    study = [
        "study", "phantom", "--data", data, "--output", tmp_path / "study", "--methods", "supervised", "--labeled", "2",
        "--steps", "60", "--validation", "0", *more, "--set", "width=2", "--set", "val_interval=5",
    ]  # fmt: skip
    process = started(*study)
    runs = tmp_path / "study" / "runs"
    wait_until(lambda: list(runs.glob("*/checkpoints/last.pt")) or process.poll() is not None)
    (run,) = children(process.pid)
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_until(lambda: not at_work(run))
    again = started(*study)
    stderr = again.communicate(timeout=5 * PATIENCE)[1]
    assert again.returncode == 0, stderr
    assert (tmp_path / "study" / "table.md").is_file()


@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_child_ends_with_its_parent(tmp_path, by_kernel):
    """Also where no kernel does it, and where the parent has gone before the child could ask."""
    if by_kernel and sys.platform != "linux":
        pytest.skip("Linux alone has prctl")
    child = (
        "import sys, time, os; from mednoisy import child_processes as own\n"
        f"if not {by_kernel}: own._killed_by_kernel = lambda: False\n"
        "own.end_with_parent(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(300)"
    )
    parent = (
        "import subprocess, sys, os, time\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())]); time.sleep(300)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    pid = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_until(lambda: not at_work(pid))
    orphan = subprocess.run([sys.executable, "-c", child, "1"], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert orphan.returncode == 1


def test_a_signal_waits_for_a_worker_s_start_also_where_another_thread_receives_it():
    """As that of a progress bar does: the system asks any thread that does not block it."""
    bystander = threading.Event()
    threading.Thread(target=bystander.wait, daemon=True).start()
    started: list[str] = []

    def start() -> None:
        with child_processes.undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            started.append("a worker")

    with pytest.raises(KeyboardInterrupt):
        start()
    bystander.set()
    assert started


def test_a_command_is_told_of_its_parent_once(monkeypatch):
    told: list[int] = []
    monkeypatch.setattr(child_processes, "end_with_parent", told.append)
    monkeypatch.setenv(child_processes.PARENT, "4711")
    child_processes.end_with_caller()
    child_processes.end_with_caller()
    assert told == [4711]


def leftovers(folder: Path, *below: str) -> list[Path]:
    left = [folder / name / ".partial-abc.png" for name in ("", *below)]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    return left


def test_what_killed_processes_left_is_swept_by_the_next_one(tmp_path, maps, pictures, capsys):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copyfile(maps / "a0.nii.gz", few / "a0.nii.gz")
    raw = tmp_path / "raw"
    for part in ("images", "masks"):
        (raw / part).mkdir(parents=True)
        for case in ("a0", "a1"):
            shutil.copyfile(pictures / part / "a0.png", raw / part / f"{case}.png")
    (raw / "split.json").write_text(json.dumps({"train": ["a0"], "val": [], "test": ["a1"]}))
    folders = ["--predictions", str(few), "--references", str(few), "--output", str(tmp_path / "scores")]
    left = leftovers(tmp_path / "scores")
    assert main(["evaluate", *folders]) == 0
    left += leftovers(tmp_path / "data", "images", "labels")
    prepare = ["prepare", "dermoscopy", str(raw), str(tmp_path / "data")]
    assert main(prepare) == 0
    left += leftovers(tmp_path / "data", "images", "labels")
    assert main(prepare) == 0  # there is nothing to do, still it sweeps
    left += leftovers(tmp_path / "page")
    assert main(["report", str(tmp_path / "scores"), "--output", str(tmp_path / "page" / "report.html")]) == 0
    assert not [path for path in left if path.exists()]


def test_a_folder_at_which_another_process_works_is_refused(tmp_path, pictures, capsys):
    with locked(tmp_path / "data"):
        code = main(["prepare", "dermoscopy", str(pictures), str(tmp_path / "data")])
    assert code == 2
    assert capsys.readouterr().err == (
        f"mednoisy: E314 another process is at work in {tmp_path / 'data'}. Wait for it or give another --output.\n"
    )


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_in_a_line(tmp_path, maps, monkeypatch, caplog, code):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copyfile(maps / "a0.nii.gz", few / "a0.nii.gz")

    def flock(file: object, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    folders = ["--predictions", str(few), "--references", str(few), "--output", str(tmp_path / "scores")]
    assert main(["evaluate", *folders]) == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        f"the file system of {tmp_path / 'scores'} has no locks ({os.strerror(code)}): "
        "let no other command write there meanwhile"
    )


def test_a_refused_command_leaves_no_folder(tmp_path):
    assert main(["prepare", "dermoscopy", str(tmp_path / "absent"), str(tmp_path / "data")]) == 2
    assert not (tmp_path / "data").exists()
