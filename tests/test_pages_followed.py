"""The pages that show how to add a dataset and a method, followed to the letter but for the number of steps."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
FENCED = re.compile(r"(?:`([\w.]+\.(?:py|yaml))`:\n\n)?```(\w*)\n(.*?)```", re.DOTALL)
MOST_LINES = 40  # of what a page has its reader write


def blocks(page: str) -> list[tuple[str, str, str]]:
    """File name (empty for commands), language and text of every block."""
    return FENCED.findall((DOCS / page).read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("tutorials/own_dataset.md", ["comparison.html", "predictions/student/disc39.png", "runs/supervised/report.html"]),
        ("tutorials/own_method.md", ["studies/entropy/table.md", "studies/entropy/comparison.html"]),
    ],
)
def test_a_page_can_be_followed(page, made, tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    written = 0
    for name, language, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
            written += len([line for line in text.splitlines() if line.strip()])
            continue
        assert not language
        for command in text.splitlines():
            command = re.sub(r"--steps \d+", "--steps 4", command)
            if command.startswith("export "):
                key, _, value = command.removeprefix("export ").partition("=")
                environment[key] = value
                continue
            done = subprocess.run(
                shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert 0 < written < MOST_LINES
    for path in made:
        assert (tmp_path / path).is_file(), path
