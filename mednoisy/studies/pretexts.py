"""The pretexts of a study: each learned once a seed, by a run that all rows which start from it share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mednoisy.studies.rows import Cell, safe_words
from mednoisy.studies.starts import DIGITS, trains_partner, with_use

FIRST, SECOND = "network_def", "partner_def"
PAIR = "pair"
LONGEST = 100  # characters of settings in a name


@dataclass(frozen=True)
class PretextRun:
    """A run that learns a pretext and nothing else.

    Args:
        pretext: its name, and that of the method.
        seed: of the run.
        settings: entries of the rows that start from it which concern it, too (its networks' width, say).
        shared: those of all rows of the study that do.
        pair: whether it trains the bundle's second network beside the first, for methods of two.
    """

    pretext: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    pair: bool = False

    @property
    def kind(self) -> str:
        """All of its name but the seed: settings in words where a folder's name can hold them, else their digest."""
        words = [f"{key}={value!r}" for key, value in self.settings.items()]
        if words != safe_words(self.settings) or len("-".join(words)) > LONGEST:
            words = ["set=" + hashlib.sha256("\n".join(words).encode()).hexdigest()[:DIGITS]]
        return "-".join([self.pretext, *([PAIR] if self.pair else []), *words])

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.kind}-seed{self.seed}"

    @property
    def entries(self) -> dict[str, Any]:
        """What it sets in its configuration, besides places, labels, seed and steps."""
        networks = {"stages#0#networks": {"student": f"@{FIRST}", "partner": f"@{SECOND}"}} if self.pair else {}
        return {**self.shared, **self.settings, **networks}


def pretexts_of(
    cells: Sequence[Cell], bundle: str, dataset: Path | None, shared: Mapping[str, Any]
) -> dict[str, PretextRun]:
    """The runs whose encoders the runs of a study start from, by name of the latter; of other starts there is none.

    Rows share one where their seed, their networks and all that concerns the pretext are the same: the teachers of SDCL
    are nothing to it.

    Args:
        bundle, dataset: of the study.
        shared: settings of all its runs.
    """
    of_row: dict[str, PretextRun] = {}
    for cell in cells:
        row = cell.row
        if row.start.pretext is not None and row.folder not in of_row:
            settings = {**shared, **row.settings}
            used = with_use(settings, bundle, dataset, row.start.pretext)
            own = {key: value for key, value in used.items() if key in row.settings}
            others = {key: value for key, value in used.items() if key not in own}
            pair = trains_partner(bundle, dataset, row.method, row.recipe, settings)
            of_row[row.folder] = PretextRun(row.start.pretext, 0, own, others, pair)
    return {cell.name: replace(of_row[cell.row.folder], seed=cell.seed) for cell in cells if cell.row.folder in of_row}
