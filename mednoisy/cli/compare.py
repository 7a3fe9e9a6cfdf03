"""`mednoisy compare`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mednoisy.cli.arguments import add_table
from mednoisy.errors import DONE, UserError

HELP = "compare runs or evaluations case by case: differences, tests, ranking, one page"
EXAMPLE = "mednoisy compare runs/supervised runs/sdcl --output comparison.html"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("runs", type=Path, nargs="+", help="folders of two or more runs; the first is the baseline")
    command.add_argument("--metric", default="dice", help="what the ranking and the tests go by (default: dice)")
    command.add_argument("--output", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")
    add_table(command)


def run(options: argparse.Namespace) -> int:
    """Write the page and print the comparison or its table; the exit code."""
    if len(options.runs) < 2:
        raise UserError("E114", "one run cannot be compared", "Give two or more, or call mednoisy report")
    from mednoisy.report.run_page import write_report
    from mednoisy.report.tables.terminal_tables import check_metric, comparison_lines, doubt_lines, table_text

    check_metric(options.metric)
    lines = (
        [table_text(options.runs, options.table)] if options.table else comparison_lines(options.runs, options.metric)
    )
    if options.table:  # which is to be pasted as it is
        for doubt in doubt_lines(options.runs):
            print(f"mednoisy: {doubt}", file=sys.stderr)
    write_report(options.runs, options.output)
    print(*lines, sep="\n")
    print(f"report: {options.output}", file=sys.stderr if options.table else sys.stdout)
    return DONE
