"""`mednoisy inspect`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mednoisy.errors import DONE, DONE_IN_PART

HELP = "tell what a prepared dataset holds: sizes, labels, the same image twice, what cannot be read"
EXAMPLE = "mednoisy inspect data/mine --output data/mine.html"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("data", type=Path, help="folder of the prepared dataset (with datalist.json), or a datalist")
    command.add_argument("--output", type=Path, metavar="FILE", help="the page (default: inspection.html beside it)")


def run(options: argparse.Namespace) -> int:
    """Write the page and print the table; the exit code, 1 where cases cannot be read."""
    from mednoisy.inspection.inspection_page import terminal_text, write_inspection

    beside = options.data.parent if options.data.suffix == ".json" else options.data
    output = options.output or beside / "inspection.html"
    facts = write_inspection(options.data, output)
    for fault in facts.faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    print(terminal_text(facts))
    print(f"page: {output}")
    return DONE_IN_PART if facts.faults else DONE
