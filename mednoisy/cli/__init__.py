"""The command line: a module a command, with its options and what it does."""

from mednoisy.cli.entry import COMMANDS, main, parser

__all__ = ["COMMANDS", "main", "parser"]
