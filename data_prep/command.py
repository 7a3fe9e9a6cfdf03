"""The command line of a dataset: its arguments, and its faults as one line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mednoisy.argument_parser import Parser
from mednoisy.errors import DONE, UserError
from mednoisy.files import FULL, full_disk, locked

from .listing import contents


def command_line(module: str, description: str, raw: str, *, complete: bool = False) -> argparse.ArgumentParser:
    """A parser of RAW, OUT and --workers; `raw` says what RAW holds, `complete` adds --allow-missing."""
    parser = Parser(prog=f"mednoisy prepare {module}", description=description)
    parser.add_argument("raw", type=Path, help=raw)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    if complete:
        help_text = "go on without published cases that are not there; else they are named and refused"
        parser.add_argument("--allow-missing", action="store_true", help=help_text)
    return parser


def run_command(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, prepare: Callable[[argparse.Namespace], Path]
) -> int:
    """Parse, prepare and print what the datalist holds; a fault becomes one line on stderr. The exit code."""

    def act() -> int:
        given = parser.parse_args(arguments)
        _, out = folders(given.raw, given.out, given.workers)
        with locked(out, "images", "labels"):
            print(contents(prepare(given)))
        return DONE

    return told(act)


def told(act: Callable[[], int]) -> int:
    """The exit code of a preparation; a fault becomes one line on stderr."""
    try:
        return act()
    except UserError as error:
        print(f"mednoisy: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(error.filename or "the folder", error.strerror) from error
        cause = f"{error.filename or 'the folder'}: {error.strerror or error}"
        refusal = UserError("E221", cause, "Let it be read or, where it is to be written, choose a folder that can be")
        print(f"mednoisy: {refusal}", file=sys.stderr)
        return refusal.exit_code


def folders(raw: Path | str, out: Path | str, workers: int) -> tuple[Path, Path]:
    """The folders of a preparation, checked with its number of processes (E108)."""
    raw, out = Path(raw), Path(out)
    if workers < 1:
        raise UserError("E108", f"workers is {workers}", "Choose at least 1")
    if raw.resolve() == out.resolve():
        raise UserError("E108", f"{out} is the folder of the source files", "Give another folder to write to")
    return raw, out


def check_complete(missing: Sequence[str], allow_missing: bool) -> None:
    """Refuse a raw folder without all published cases, unless that is allowed.

    Args:
        missing: what is not there, in words, such as "images of 0025, 0070"; empty where all is.
        allow_missing: whether to go on with what is there.

    Raises:
        UserError: E379, naming what is missing.
    """
    if missing and not allow_missing:
        cause = f"published cases are not there: {'; '.join(missing)}"
        raise UserError("E379", cause, "Download them, or go on with what is there by --allow-missing")
