"""The page of the command line: what `--help` of every command prints, asked when the site is built.

A hook of MkDocs; `page` is for tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
PAGE = "reference/command_line.md"
WIDTH = 100  # characters of a line
LISTED = re.compile(r"^    (\w+)  ", re.MULTILINE)  # a command in the help of all of them
INTRODUCTION = """# Command line

What `mednoisy COMMAND --help` prints, for every command. Each command's work can be called from Python too; see the
[Python API](api/index.md). A fault that can be mended is [one line with a code](error_codes.md).
"""


def page() -> str:
    """The whole page in Markdown, a section a command.

    Raises:
        subprocess.CalledProcessError: where a command has no help.
    """
    everything = help_of()
    sections = [INTRODUCTION, _section("mednoisy", everything)]
    for command in LISTED.findall(everything):
        sections.append(_section(f"mednoisy {command}", help_of(command)))
        if command == "prepare":
            sections += [_section(f"prepare {name}", help_of(command, name), level=3) for name in prepared()]
    return "\n".join(sections)


def help_of(*command: str) -> str:
    """What `mednoisy COMMAND --help` prints in lines of `WIDTH` characters."""
    done = subprocess.run(
        [sys.executable, "-m", "mednoisy", *command, "--help"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": str(WIDTH)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def prepared() -> list[str]:
    """The datasets of `mednoisy prepare`: the modules of data_prep that can be called."""
    files = sorted((ROOT / "data_prep").glob("*.py"))
    return [file.stem for file in files if "\ndef main(" in file.read_text(encoding="utf-8")]


def _section(title: str, text: str, level: int = 2) -> str:
    return f"{'#' * level} {title}\n\n```text\n{text.strip()}\n```\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs' hook: adds the page to the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files
