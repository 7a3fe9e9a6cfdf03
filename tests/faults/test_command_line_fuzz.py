"""Whatever is written behind `mednoisy`: an exit code, and one line for a refusal.

`MEDNOISY_EXAMPLES=2000 pytest tests/faults/test_command_line_fuzz.py` tries more than CI does.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mednoisy.cli import COMMANDS, main
from tests.faults.command_lines import clear, command_lines, make_places

EXAMPLES = int(os.environ.get("MEDNOISY_EXAMPLES", "150"))
REFUSAL = re.compile(r"mednoisy: E\d{3} .*\.")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to work in, a few levels deep."""
    folder: Path = tmp_path_factory.mktemp("fuzz") / "a" / "b"
    folder.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def outcome(arguments: list[str]) -> tuple[int, str]:
    """Exit code and what is said on stderr, in a folder as new; whatever else is raised comes out."""
    said = io.StringIO()
    clear(Path.cwd())
    make_places(Path.cwd())
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(arguments)
        except SystemExit as end:  # of --help and --version
            code = 0 if not end.code else 99
    return code, said.getvalue()


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(arguments=command_lines())
def test_any_command_line_ends_with_an_exit_code_and_a_line(place, arguments):
    code, said = outcome(arguments)
    assert code in (0, 1, 2)
    lines = said.splitlines()
    assert all(line.isprintable() for line in lines), said
    if code == 2:
        assert REFUSAL.fullmatch(lines[-1]), said
        assert not [line for line in lines[:-1] if not line.startswith("mednoisy: note: ")], said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_help(name, place):
    code, said = outcome([name, "--help"])
    assert (code, said) == (0, "")
