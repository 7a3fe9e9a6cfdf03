"""The program `mednoisy`: parses, calls, tells faults. All it does can be called from Python in one line."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from mednoisy import __version__
from mednoisy.argument_parser import Parser
from mednoisy.cli import check, compare, demo, evaluate, predict, prepare, render, report, study, train
from mednoisy.cli.arguments import Command, CommandParser
from mednoisy.errors import DONE_IN_PART, UserError

COMMANDS: dict[str, Command] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "predict": predict,
    "report": report,
    "study": study,
    "prepare": prepare,
    "check": check,
    "render": render,
}
EXAMPLES = """examples:
  mednoisy demo --output demo
      make phantoms, train with 2 labels three ways, compare them on one page
  mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25
  mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl
  mednoisy train --resume runs/sdcl
  mednoisy compare runs/supervised runs/sdcl --output comparison.html
  mednoisy evaluate --predictions theirs --references labels --labels 1=atrium --output scores

exit codes: 0 done, 1 done in part (what failed is listed), 2 refused
"""
NO_PLACE = (  # what the place of the output is at fault for
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR, errno.EEXIST),
)


def parser() -> argparse.ArgumentParser:
    """All commands; the options of one are added when it is called."""
    top = Parser(
        prog="mednoisy",
        description="Label-efficient segmentation of medical images: few labels, many scans, one command.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"mednoisy {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, command in COMMANDS.items():
        commands.add_parser(
            name,
            command=command,
            help=command.HELP,
            description=command.HELP[0].upper() + command.HELP[1:] + ".",
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 done in part, 2 refused.
    """
    try:
        options = parser().parse_args(arguments)
        code = COMMANDS[options.command].run(options)
        sys.stdout.flush()
        return code
    except UserError as fault:
        print(f"mednoisy: {fault}", file=sys.stderr)
        return fault.exit_code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE_IN_PART
    except OSError as fault:
        if fault.errno not in NO_PLACE:
            raise
        refusal = UserError("E106", f"{fault.filename or 'output'}: {fault.strerror}", "Choose another place")
        print(f"mednoisy: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        print("mednoisy: interrupted", file=sys.stderr)
        return DONE_IN_PART
