"""The program `mednoisy`: parses, calls, tells faults. All it does can be called from Python in one line."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from mednoisy import __version__
from mednoisy.argument_parser import Parser
from mednoisy.child_processes import end_with_caller
from mednoisy.cli import (
    annotate,
    bundle,
    check,
    compare,
    demo,
    evaluate,
    export,
    inspect,
    label,
    predict,
    prepare,
    query,
    render,
    report,
    simulate,
    study,
    train,
)
from mednoisy.cli.arguments import Command, CommandParser
from mednoisy.cli.interruptions import Interruptions
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.files import FULL, full_disk

COMMANDS: dict[str, Command] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "predict": predict,
    "export": export,
    "query": query,
    "annotate": annotate,
    "label": label,
    "report": report,
    "study": study,
    "simulate": simulate,
    "prepare": prepare,
    "inspect": inspect,
    "bundle": bundle,
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
NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)  # the output's place is at fault


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

    Args:
        arguments: None for those of the process, which then ends after this.

    Returns:
        The exit code: 0 done, 1 done in part, 2 refused.
    """
    end_with_caller()
    with Interruptions(last=arguments is None) as signals:
        try:
            return _run(arguments)
        except UserError as fault:
            return _told(fault)
        except BrokenPipeError:  # whoever read the output has seen enough
            _close_output()
            return DONE_IN_PART
        except (Exception, KeyboardInterrupt) as fault:
            if signals.received or isinstance(fault, KeyboardInterrupt):
                print(
                    f"mednoisy: interrupted {signals.received and f'by {signals.received}'}".rstrip(), file=sys.stderr
                )
                return DONE_IN_PART
            if (refusal := _of_the_place(fault)) is None:
                raise
            return _told(refusal)


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code of a command that nothing stops."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may hold what the terminal's encoding has not
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    code = COMMANDS[options.command].run(options)
    try:
        sys.stdout.flush()
    except OSError as fault:
        if fault.errno in FULL:
            _close_output()
            raise full_disk("what a command prints", fault.strerror) from fault
        raise
    return code


def _told(fault: UserError) -> int:
    print(f"mednoisy: {fault}", file=sys.stderr)
    return fault.exit_code


def _of_the_place(fault: BaseException | None) -> UserError | None:
    """What a system's fault, or the one that led to it, says about the place of the output; None if nothing."""
    while fault is not None and not (isinstance(fault, OSError) and fault.errno in (*NO_PLACE, *FULL)):
        fault = fault.__cause__ or fault.__context__
    if fault is None:
        return None
    if fault.errno in FULL:
        return full_disk(fault.filename or "output", fault.strerror)
    return UserError("E106", f"{fault.filename or 'output'}: {fault.strerror}", "Choose another place")


def _close_output() -> None:
    """Let what is still to be printed go nowhere, or the interpreter would fail at it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
