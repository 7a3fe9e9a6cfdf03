"""A parser of command lines that refuses arguments as everything else is refused: in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from mednoisy.errors import UserError


class Parser(argparse.ArgumentParser):
    """As argparse's, but a fault is a UserError E100 instead of a usage and the end of the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError E100."""
        raise UserError("E100", message.replace("\n", " "), f"See {self.prog} --help")
