"""`mednoisy annotate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mednoisy.cli.arguments import number
from mednoisy.errors import DONE, DONE_IN_PART
from mednoisy.files import locked

if TYPE_CHECKING:
    from mednoisy.queries.annotations import Change

HELP = "take corrected label maps of a query back into a new dataset"
EXAMPLE = "mednoisy annotate query corrected --data data/mine --output data/round_1"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("query", type=Path, help="folder of the query")
    command.add_argument("corrected", type=Path, help="folder of corrected label maps, called as the pre-annotations")
    command.add_argument("--data", type=Path, required=True, help="folder of the prepared dataset that was asked")
    command.add_argument("--output", type=Path, required=True, help="folder of the new dataset")
    command.add_argument(
        "--ignore", type=number, nargs="+", default=[], metavar="CODE", help="marks what nobody looked at"
    )


def run(options: argparse.Namespace) -> int:
    """Take what can be taken; print what was changed and the next command; the exit code."""
    from mednoisy.queries.annotations import take_annotations

    with locked(options.output):
        taken = take_annotations(options.query, options.corrected, options.data, options.output, options.ignore)
    for change in taken.changes:
        print(_line(change))
    if taken.waiting:
        print(f"not corrected yet: {', '.join(taken.waiting)}")
    if taken.known:
        print(f"labeled already: {', '.join(taken.known)}")
    if taken.remark:
        print(taken.remark)
    print(f"datalist: {taken.datalist}", f"next: {taken.command}", f"then: {taken.query}", sep="\n")
    for fault in taken.faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    return DONE_IN_PART if taken.faults else DONE


def _line(change: Change) -> str:
    ignored = f", {change.ignored} voxels ignored" if change.ignored else ""
    if not change.dice:
        return f"{change.case}: {change.voxels} voxels of foreground, drawn without a pre-annotation{ignored}"
    dices = ", ".join(f"{name} {'–' if dice != dice else f'{100 * dice:.1f} %'}" for name, dice in change.dice.items())
    return f"{change.case}: {change.voxels} voxels changed; Dice to the pre-annotation: {dices}{ignored}"
