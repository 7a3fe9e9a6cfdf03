"""`mednoisy demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mednoisy.cli.arguments import count, number
from mednoisy.errors import DONE

HELP = "train on phantoms, compare methods on one page"
EXAMPLE = "mednoisy demo --output demo"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("--output", type=Path, default=Path("demo"), help="folder of the demo (default: %(default)s)")
    command.add_argument("--steps", type=count, default=600, help="training steps of each run (default: %(default)s)")
    command.add_argument("--seed", type=number, default=0, help="draws phantoms and training (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Make the demo and print where its page is; the exit code."""
    from mednoisy.demo import run_demo

    page = run_demo(options.output, steps=options.steps, seed=options.seed)
    print(f"report: {page}")
    print("next: open it in a browser, then see docs/reference/datalists.md and `mednoisy train --help`")
    return DONE
