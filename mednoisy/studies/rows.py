"""The rows of a study, and the runs that they make: a method, a recipe, perhaps settings of their own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mednoisy.composition import parse_setting
from mednoisy.errors import UserError
from mednoisy.studies.starts import SCRATCH, Start

LONGEST = 200  # bytes of a name; file systems take 255, of which labels and seed need some


@dataclass(frozen=True)
class Row:
    """A row of a study's table.

    Args:
        method: a name or the file of an overlay.
        recipe: a name or the file of an overlay.
        settings: entries of the configuration that this row alone has; they win over those of the study.
        name: what table and folders call it instead of method and settings.
        labeled, seeds, starts: what it is run with; None for those of the study.
        start: what its networks begin with; a row of several starts is as many rows.
    """

    method: str
    recipe: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    labeled: Sequence[int] | None = None
    seeds: Sequence[int] | None = None
    starts: Sequence[str] | None = None
    start: Start = SCRATCH

    @classmethod
    def parse(cls, text: str) -> Row:
        """The row of `METHOD[:RECIPE] [ID=VALUE ...]`; values with blanks are quoted as in a shell.

        Raises:
            UserError: E102, a setting cannot be read.
        """
        try:
            row, *settings = shlex.split(text) if "=" in text else [text]  # else a path may have blanks
        except ValueError as fault:
            raise UserError("E102", f"row {text!r} cannot be read: {fault}", "Quote as for a shell") from fault
        for setting in settings:
            if not setting.partition("=")[0] or "=" not in setting:
                cause = f"row {text!r}: {setting!r} is no id=value"
                raise UserError("E102", cause, "Write for example 'sdcl:strong teachers=each'")
        method, _, recipe = row.partition(":")
        return cls(method, recipe or "default", dict(parse_setting(setting) for setting in settings))

    @property
    def title(self) -> str:
        """What a table calls it, beside its recipe."""
        title = self.name or " ".join([Path(self.method).stem, *_words(self.settings)])
        return f"{title} from {self.start.name}" if self.start else title

    @property
    def group(self) -> str:
        """What it is besides its start, in words."""
        title = replace(self, start=SCRATCH).title
        return title if self.recipe == "default" else f"{title}, {Path(self.recipe).stem}"

    @property
    def folder(self) -> str:
        """How the names of its runs' folders begin: `sdcl-strong-teachers=each-from-restoration`."""
        start = [f"from-{_safe(self.start.name)}"] if self.start else []
        if self.name:
            return "-".join([_safe(self.name), *start])
        recipe = [] if self.recipe == "default" else [Path(self.recipe).stem]
        return "-".join([Path(self.method).stem, *recipe, *safe_words(self.settings), *start])

    @property
    def definition(self) -> str:
        """All that its runs are, in a line; equal of equal rows."""
        start = f" from {self.start.definition}" if self.start else ""
        return f"{Path(self.method).stem}:{Path(self.recipe).stem} {self.listed_settings}".rstrip() + start

    @property
    def listed_settings(self) -> str:
        """Its settings in a line, values as Python writes them."""
        return " ".join(f"{key}={value!r}" for key, value in self.settings.items())

    def from_each(self, starts: Sequence[str]) -> list[Row]:
        """The row from each of its own starts, or of those given (E546)."""
        own = starts if self.starts is None else self.starts
        return [replace(self, start=Start.parse(text), starts=None) for text in own]

    def check_name(self) -> None:
        """Refuse a name that no folder can have (E354)."""
        if not self.folder or len(self.folder.encode()) > LONGEST:
            cause = f"row {self.definition!r} would be called {self.folder!r}, which no folder can be"
            raise UserError("E354", cause, "Give the row a `name` in a file of rows")


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    row: Row
    labeled: int
    seed: int

    @property
    def method(self) -> str:
        return self.row.method

    @property
    def recipe(self) -> str:
        return self.row.recipe

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.row.folder}-{self.labeled}-labeled-seed{self.seed}"


def grid(rows: Sequence[Row], labeled: Sequence[int], seeds: Sequence[int]) -> list[Cell]:
    """All runs, each once; labels vary slowest and rows fastest, so that the first seed's rows are there first."""
    all_labeled = [*labeled, *(number for row in rows for number in row.labeled or ())]
    all_seeds = [*seeds, *(seed for row in rows for seed in row.seeds or ())]
    cells: list[Cell] = []
    for number in dict.fromkeys(all_labeled):
        for seed in dict.fromkeys(all_seeds):
            for row in rows:
                cell = Cell(row, number, seed)
                wanted = number in (row.labeled or labeled) and seed in (row.seeds or seeds)
                if wanted and cell not in cells:
                    cells.append(cell)
    return cells


def safe_words(settings: Mapping[str, Any]) -> list[str]:
    """Settings as a folder's name can hold them."""
    return [_safe(word) for word in _words(settings)]


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _safe(text: str) -> str:
    """The text without what a path or a shell would take for something else."""
    return re.sub(r"[^\w.=+-]+", "_", text).replace("=_", "=").strip("_")
