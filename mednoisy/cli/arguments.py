"""Types of arguments and options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mednoisy.argument_parser import Parser
from mednoisy.errors import UserError


class Command(Protocol):
    """What a module of this package offers."""

    HELP: str  # a line, without a full stop
    EXAMPLE: str

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Give the command its options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; the exit code."""


class CommandParser(Parser):
    """Gets the options of a command when the command is called: looking for what they may name takes time."""

    def __init__(self, *args: Any, command: Command, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._command: Command | None = command

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As `argparse.ArgumentParser`."""
        command, self._command = self._command, None
        if command is not None:
            command.add_arguments(self)
        return super().parse_known_args(args, namespace)


def count(text: str) -> int:
    """A whole number from 1 on."""
    return _whole(text, least=1)


def number(text: str) -> int:
    """A whole number from 0 on."""
    return _whole(text, least=0)


def length(text: str) -> float:
    """A finite number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no length from 0 on")
    return value


def label(text: str) -> tuple[int, str]:
    """`CODE` or `CODE=NAME`: a label code and its name."""
    code, _, name = text.partition("=")
    return count(code), name or f"class {code}"


def replaced_code(text: str) -> tuple[int, int]:
    """`OLD=NEW`: two label codes."""
    old, equals, new = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return number(old), number(new)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
    return int(text)


def check_given(arguments: Mapping[str, object], command: str) -> None:
    """Refuse arguments that are None, in the words of argparse (E100), where not every form of a command needs them."""
    missing = [name for name, value in arguments.items() if value is None]
    if missing:
        cause = f"the following arguments are required: {', '.join(missing)}"
        raise UserError("E100", cause, f"See mednoisy {command} --help")


BUNDLE_FOLDERS = "the folder of one, or of a dataset that has one"
DATA_HELP = "folder of the prepared dataset, with datalist.json (default: that given as the bundle)"


def given_or_own_data(options: argparse.Namespace) -> Path | None:
    """`--data`, or the dataset whose folder was given as the bundle; None where neither is said.

    Raises:
        UserError: E382, that folder has no bundle.
    """
    from mednoisy.composition import dataset_of

    if options.data is not None or options.bundle is None:
        return options.data
    return dataset_of(options.bundle)


def or_path(names: Iterable[str], path: str) -> str:
    """Names that can be given, or a path instead, for a help text."""
    return f"{', '.join(names)}, or {path}"


def add_set(command: argparse.ArgumentParser) -> None:
    """`--set`, which `composition.parse_setting` reads."""
    command.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="replace a config's entry")


def add_dataset(command: argparse.ArgumentParser) -> None:
    """`--dataset`."""
    command.add_argument(
        "--dataset", type=Path, metavar="FILE", help="overlay for other data, docs/tutorials/own_dataset.md"
    )


def add_trust(command: argparse.ArgumentParser, whose: str = "the run's folder") -> None:
    """Give the command `--trust`."""
    command.add_argument(
        "--trust", action="store_true", help=f"execute whatever program the config.yaml of {whose} is (default: refuse)"
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """`--device`, which `device_entry` reads."""
    command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")


def device_entry(name: str | None) -> dict[str, str]:
    """The entry of the configuration that stands for `--device`; none where it is not given.

    Raises:
        UserError: E105, PyTorch does not know it or does not find it on this machine.
    """
    from mednoisy.composition import checked_device

    if name == "cpu":  # is always there: PyTorch need not be asked, which takes seconds
        return {"device": '$torch.device("cpu")'}
    return {"device": checked_device(name)} if name else {}


def add_table(command: argparse.ArgumentParser) -> None:
    """`--table`."""
    command.add_argument("--table", choices=("markdown", "latex"), help="print the table of figures alone")


def print_result(run: Path) -> None:
    """The figures of a run or an evaluation, and where its page is."""
    from mednoisy.report.tables.terminal_tables import result_lines

    print(*result_lines(run), f"report: {run / 'report.html'}", sep="\n")
