"""A parser of command lines that refuses arguments as everything else is refused: in one line."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from mednoisy.errors import UserError


class Parser(argparse.ArgumentParser):
    """As argparse's, but a fault is a UserError E100 instead of a usage and the end of the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError E100."""
        raise UserError("E100", message.replace("\n", " "), f"See {self.prog} --help")


def minutes(text: str) -> float:
    """The value of an option: minutes above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0")
    return value


NETWORKS = ("mednoisy", "monai", "nnunet")  # families of networks for bundles of one's own data


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--networks`."""
    whose = "this package's (default), MONAI's DynUNet, or nnU-Net's own, which are an extra"
    parser.add_argument("--networks", choices=NETWORKS, default=NETWORKS[0], help=f"whose networks: {whose}")
