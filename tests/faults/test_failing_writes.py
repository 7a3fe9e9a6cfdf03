"""A seeded share of the campaign: whichever write fails, a command ends in one line and goes on when called again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.failing_writes import Attempt
from tests.faults.injection import FailingWrites

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a campaign, which may share its cores
def test_a_share_of_all_writes_fails_as_it_should(tmp_path):
    """In a process of its own: forks must not come of one that has computed something."""
    command = [
        sys.executable,
        "-m",
        "tests.faults.failing_writes",
        "--folder",
        str(tmp_path / "work"),
        "--share",
        "0.02",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "'held'" in line]
    assert len(lines) == 8, done.stdout  # of all commands
    assert not any("'failed'" in line for line in lines)


def test_the_campaign_tells_good_ends_from_bad_ones():
    line = "mednoisy: E320 cannot write a: No space left on device. Free some space.\n"
    assert Attempt(1, line, []).fault == ""
    assert Attempt(2, line, []).fault.startswith("exit 2")
    assert Attempt(1, line + line, []).fault.startswith("exit 1")
    assert Attempt(1, line.replace("E320", "E106"), []).fault.startswith("exit 1")
    assert (
        Attempt(1, "Traceback (most recent call last):\n  a\nOSError: full\n", []).fault == "traceback: OSError: full"
    )


@pytest.mark.parametrize("number", range(1, 6))
def test_the_writes_that_are_counted_can_fail(tmp_path, number):
    """Temporary file, opening, writing, fsync and rename are the five of a text."""
    program = (
        "import sys; from pathlib import Path; from tests.faults.injection import FailingWrites\n"
        "from mednoisy.files import write_text; folder = Path(sys.argv[1])\n"
        "writes = FailingWrites(folder, int(sys.argv[2])); writes.install()\n"
        "try: write_text(folder / 'a.txt', 'text')\n"
        "except Exception as fault: print(fault)\n"
        "print(*[one.split()[0] for one in writes.seen])"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(number)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = ["mkstemp", "open", "write", "fsync", "rename"]
    reason = "Input/output error" if number == 4 else "No space left on device"
    assert output[0].startswith(f"E320 cannot write {tmp_path / 'a.txt'}: {reason}. ")
    assert output[1].split()[:number] == kinds[:number]
    assert not list(tmp_path.iterdir())


def test_files_elsewhere_are_left_alone(tmp_path):
    writes = FailingWrites(tmp_path / "in", number=1)
    writes.tick("open", tmp_path / "out")
    assert writes.seen == []
