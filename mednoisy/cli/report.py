"""`mednoisy report`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mednoisy.cli.arguments import add_table
from mednoisy.errors import DONE

HELP = "make the page of a run or an evaluation again, from its files"
EXAMPLE = "mednoisy report runs/sdcl"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("run", type=Path, help="folder of a finished run or of an evaluation")
    command.add_argument("--output", type=Path, help="the page (default: report.html in that folder)")
    add_table(command)


def run(options: argparse.Namespace) -> int:
    """Write the page and print where it is; the exit code."""
    from mednoisy.report.run_page import write_report
    from mednoisy.report.tables.terminal_tables import table_text

    output = options.output or options.run / "report.html"
    write_report([options.run], output)
    if options.table:
        print(table_text([options.run], options.table))
    print(f"report: {output}", file=sys.stderr if options.table else sys.stdout)
    return DONE
