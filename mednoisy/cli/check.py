"""`mednoisy check`."""

from __future__ import annotations

import argparse
import sys

from mednoisy.cli.arguments import or_path
from mednoisy.errors import DONE, DONE_IN_PART

HELP = "compose and build every bundle under every method and recipe, without data or training"
EXAMPLE = "mednoisy check acdc --method sdcl bcp --recipe strong"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known
    from mednoisy.composition.stacking import pretexts

    bundles, methods, recipes = (known(kind) for kind in ("bundle", "method", "recipe"))
    command.add_argument(
        "bundles", nargs="*", metavar="BUNDLE", help=f"{or_path(bundles, 'folders of others')} (default: all)"
    )
    for option, names in (("--method", methods), ("--recipe", recipes)):
        choices = f"{or_path(names, 'files of overlays')} (default: all)"
        command.add_argument(option, nargs="+", default=[], help=choices)
    command.add_argument("--pretext", metavar="NAME", help=f"a stage before each method: {', '.join(pretexts())}")


def run(options: argparse.Namespace) -> int:
    """Check and print a table; the exit code, 1 where something is at fault."""
    from mednoisy.composition import find
    from mednoisy.composition.stacking import frame
    from mednoisy.runs.early_checks import check_pretext

    for kind, names in (("bundle", options.bundles), ("method", options.method), ("recipe", options.recipe)):
        for name in names:
            find(kind, name)  # before PyTorch is loaded
    check_pretext(frame() | {"pretext": options.pretext})
    from mednoisy.bundle_check import check, table

    checked = check(options.bundles, options.method, options.recipe, options.pretext)
    print(*table(checked), sep="\n")
    for each in checked:
        for fault in each.faults:
            print(f"mednoisy: {each.name}: {fault}", file=sys.stderr)
    return DONE_IN_PART if any(each.faults for each in checked) else DONE
