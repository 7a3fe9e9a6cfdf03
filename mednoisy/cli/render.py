"""`mednoisy render`."""

from __future__ import annotations

import argparse

from mednoisy.cli.arguments import or_path
from mednoisy.errors import DONE

HELP = "write the complete MONAI bundle that a dataset's page stands for"
EXAMPLE = "mednoisy render path/to/mine"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known

    names = or_path(known("bundle"), "folders with a page, dataset.yaml")
    command.add_argument("bundles", nargs="+", metavar="BUNDLE", help=names)


def run(options: argparse.Namespace) -> int:
    """Write and print the paths of all files; the exit code."""
    from mednoisy.composition import find
    from mednoisy.composition.rendering import render, rendered

    folders = [folder for name in options.bundles if (folder := find("bundle", name)) is not None]
    for folder in folders:  # all of them are sound before any is written
        rendered(folder)
    for folder in folders:
        print(*render(folder), sep="\n")
    return DONE
