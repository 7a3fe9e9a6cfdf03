"""A seeded share of the campaign: commands that are killed, called again, give what no kill gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from tests.faults.deadly_renames import Renames
from mednoisy.files import write_text
folder = Path(sys.argv[1])
Renames(folder, int(sys.argv[2]), sys.argv[3] == "after").install()
write_text(folder.parent / "elsewhere.txt", "text")
for name in ("a", "b"):
    write_text(folder / name, "text")
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a campaign, which may share its cores
def test_a_share_of_kills_leaves_no_trace(tmp_path):
    """In a process of its own: forks must not come of one that has computed something."""
    command = [sys.executable, "-m", "tests.faults.kills", "--folder", str(tmp_path / "work"), "--seed", "2"]
    share = ["--share", "0.01", "--random", "1", "--only", "sdcl", "noisy_student", "evaluate_folders", "prepare"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *share], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in lines] == ["sdcl", "noisy_student", "evaluate_folders", "prepare"]
    assert all(tried == held and int(tried) >= 2 for _, _, tried, held in lines)


@pytest.mark.parametrize(
    ("number", "when", "left"),
    [(1, "before", []), (1, "after", ["a"]), (2, "before", ["a"]), (3, "before", ["a", "b"])],
)
def test_a_process_dies_at_the_rename_that_is_asked_for(tmp_path, number, when, left):
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(folder), str(number), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGKILL if number < 3 else 0), done.stderr
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == left
    assert (tmp_path / "elsewhere.txt").read_text() == "text"
