"""The pretexts of a study: each learned once a seed, by a run that all rows which start from it share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mednoisy.study_rows import Cell, safe_words
from mednoisy.study_starts import has_use, trains_partner

FIRST, SECOND = "network_def", "partner_def"
PAIR = "pair"


@dataclass(frozen=True)
class PretextRun:
    """A run that learns a pretext and nothing else.

    Args:
        pretext: its name, and that of the method.
        seed: of the run.
        settings: entries of the rows that start from it which concern it, too (its networks' width, say).
        pair: whether it trains the bundle's second network beside the first, for methods of two.
    """

    pretext: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    pair: bool = False

    @property
    def kind(self) -> str:
        """All of its name but the seed."""
        return "-".join([self.pretext, *([PAIR] if self.pair else []), *safe_words(self.settings)])

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.kind}-seed{self.seed}"

    def entries(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """What it sets in its configuration, besides places, labels, seed and steps."""
        networks = {"stages#0#networks": {"student": f"@{FIRST}", "partner": f"@{SECOND}"}} if self.pair else {}
        return {**shared, **self.settings, **networks}


def pretext_of(cell: Cell, bundle: str, dataset: Path | None, shared: Mapping[str, Any]) -> PretextRun | None:
    """The run whose encoders a run of a study starts from; None where it starts from no pretext.

    Args:
        bundle, dataset: of the study.
        shared: settings of all its runs.
    """
    pretext, row = cell.row.start.pretext, cell.row
    if pretext is None:
        return None
    pair = trains_partner(bundle, dataset, row.method, row.recipe, {**shared, **row.settings})
    return PretextRun(pretext, cell.seed, concerning(row.settings, pretext, bundle, dataset), pair)


def concerning(settings: Mapping[str, Any], pretext: str, bundle: str, dataset: Path | None) -> dict[str, Any]:
    """Those of some settings that a run of the pretext has a use for: the teachers of SDCL are nothing to it."""
    return {key: value for key, value in settings.items() if has_use(bundle, dataset, pretext, "default", key)}
