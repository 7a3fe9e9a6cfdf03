"""`mednoisy bundle new`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mednoisy.argument_parser import add_networks, minutes
from mednoisy.errors import DONE

HELP = "make a bundle for a prepared dataset of your own, configured from its images and this machine"
EXAMPLE = (
    "mednoisy bundle new data/mine data/mine/bundle --minutes 120\n"
    "  mednoisy train data/mine --method sdcl --recipe strong --output runs/mine"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("action", choices=["new"], help="write a new bundle")
    command.add_argument("data", type=Path, metavar="DATA", help="folder of the prepared dataset (with datalist.json)")
    place = "folder of the bundle; as DATA/bundle it is found by the name DATA"
    command.add_argument("output", type=Path, metavar="OUT", help=place)
    command.add_argument(
        "--minutes", type=minutes, default=60.0, help="that a training on this machine may take (default: 60)"
    )
    add_networks(command)
    command.add_argument("--force", action="store_true", help="replace the bundle that OUT is")


def run(options: argparse.Namespace) -> int:
    """Write it, print what was chosen and how to train; the exit code."""
    from mednoisy.configure.new_bundle import check_place, chosen_text, new_bundle

    check_place(options.output, force=options.force)
    planned = new_bundle(options.data, options.output, options.minutes, force=options.force, networks=options.networks)
    print(chosen_text(planned, options.data, options.output))
    return DONE
