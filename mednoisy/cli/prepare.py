"""`mednoisy prepare`."""

from __future__ import annotations

import argparse
from importlib import import_module

from mednoisy.errors import UserError, did_you_mean

HELP = "make a dataset of your own files, or of a published one's"
EXAMPLE = "mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import prepared_datasets

    *names, last = prepared_datasets()
    command.add_argument("dataset", help=f"{', '.join(names)} or {last}")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="of that dataset; see prepare DATASET --help")


def run(options: argparse.Namespace) -> int:
    """Hand the arguments to the dataset's own command; its exit code."""
    from mednoisy.composition import prepared_datasets

    known = prepared_datasets()
    if options.dataset not in known:
        raise UserError("E101", f"unknown dataset {options.dataset!r}", did_you_mean(options.dataset, known))
    return import_module(f"mednoisy.data_prep.{options.dataset}").main(options.arguments)
