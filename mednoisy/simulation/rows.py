"""The trainings of a simulation in the order in which they are run, and the row that each becomes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mednoisy.evaluation.summary_file import read_summary
from mednoisy.simulation.pool import Cost
from mednoisy.studies.rows import Row

SHARED_START = "start"  # in place of a strategy: what all of them begin from
ALL_LABELS = "all_labels"  # in place of a strategy: the training that nothing is hidden from
SUPERVISED = "supervised"
COLUMNS = (
    "strategy", "method", "recipe", "settings", "seed", "round",
    "patients", "cases", "slices", "foreground_voxels", "foreground_share",
    "dice", "hd95", "hd95_penalised", "undefined", "undefined_distances", "distances",
    "seconds", "processor_seconds", "run",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training: of a method, under a seed, after so many rounds of a strategy.

    Attributes:
        strategy: `SHARED_START` of round 0, which all strategies share; `ALL_LABELS`.
        round: how many queries came before.
    """

    row: Row
    seed: int
    strategy: str
    round: int = 0

    @property
    def name(self) -> str:
        """How it is told."""
        words = [self.row.folder, f"seed {self.seed}"]
        if self.strategy == ALL_LABELS:
            return ", ".join([*words, "all labels"])
        return ", ".join([*words, f"{self.strategy}, round {self.round}" if self.round else "start"])

    @property
    def folder(self) -> Path:
        """Where it is kept, below the simulation's folder."""
        of_method = f"{self.row.folder}-seed{self.seed}"
        if self.strategy == ALL_LABELS:
            return Path(ALL_LABELS) / of_method
        rounds = [self.strategy, f"round{self.round}"] if self.round else [SHARED_START]
        return Path("runs", of_method, *rounds)

    @property
    def before(self) -> Training | None:
        """The training whose networks choose what this one sees besides; None of the start and of all labels."""
        if not self.round:
            return None
        strategy = self.strategy if self.round > 1 else SHARED_START
        return Training(self.row, self.seed, strategy, self.round - 1)


def all_labels_row(row: Row) -> Row:
    """What a method is compared with: supervised training on all labels under its recipe.

    A semi-supervised method has nothing left to learn from without labels then. Settings of a row go along where it
    is supervised itself; others may name entries that supervised training has not.
    """
    if Path(row.method).stem == SUPERVISED:
        return row
    return Row(SUPERVISED, row.recipe)


WRITTEN = re.compile(r"\$?(max\()?@batch_size( // (?P<parts>\d+))?(, (?P<least>\d+)\))?")


def learns_without_labels(config: Mapping[str, Any]) -> bool:
    """Whether any stage of a configuration draws unlabeled cases, or labels them itself."""

    def found(value: Any) -> bool:
        if isinstance(value, Mapping):
            asks = any(value.get(name) not in (None, 0) for name in ("unlabeled", "pseudo"))
            return asks or any(found(part) for part in value.values())
        return isinstance(value, list) and any(found(part) for part in value)

    return found(config.get("stages"))


def unlabeled_drawn(config: Mapping[str, Any]) -> int:
    """How many different unlabeled cases a step of some stage draws; 1 where that is not known beforehand.

    Of volumes for networks in 2D slices are drawn, of which one case has many.
    """
    if "slices" in config:
        return 1
    size = config.get("batch_size")
    numbers = [1]

    def look(value: Any) -> None:
        if isinstance(value, Mapping):
            if "unlabeled" in value:
                numbers.append(_of_batch(value["unlabeled"], size))
            for part in value.values():
                look(part)
        elif isinstance(value, list):
            for part in value:
                look(part)

    look(config.get("stages"))
    return max(numbers)


def _of_batch(value: Any, size: Any) -> int:
    """A number of crops, written as one or by the size of a batch: "@batch_size", "$@batch_size // 2", "$max(...)"."""
    if isinstance(value, int):
        return value
    written = WRITTEN.fullmatch(str(value))
    if written is None or not isinstance(size, int):
        return 1
    crops = size // int(written["parts"] or 1)
    return max(crops, int(written["least"] or 0))


def trainings(rows: Sequence[Row], strategies: Sequence[str], rounds: int, seeds: Sequence[int]) -> list[Training]:
    """All trainings, each once; seeds vary slowest and strategies fastest, so that the first comparison comes early."""
    listed: list[Training] = []
    for seed in dict.fromkeys(seeds):
        for row in rows:
            listed.append(Training(row, seed, SHARED_START))
            listed.append(Training(all_labels_row(row), seed, ALL_LABELS))
            listed += [
                Training(row, seed, strategy, number) for number in range(1, rounds + 1) for strategy in strategies
            ]
    once = {training.folder: training for training in reversed(listed)}
    return [training for place, training in enumerate(listed) if once[training.folder] is listed[place]]


def row_of(training: Training, run: Path, cost: Cost) -> dict[str, Any]:
    """The row of a finished training: the final checkpoint of what its method deploys, means over test cases.

    Raises:
        UserError: E402, the folder holds no finished run.
    """
    summary = read_summary(run)
    figures = summary.checkpoints["final"].predictors[summary.deployed]
    dice, hd95 = figures.over_classes["dice"], figures.over_classes["hd95"]
    return {
        "strategy": training.strategy,
        "name": training.row.folder,
        "method": training.row.title,
        "recipe": Path(training.row.recipe).stem,
        "settings": training.row.listed_settings,
        "seed": training.seed,
        "round": None if training.strategy == ALL_LABELS else training.round,
        "patients": cost.patients,
        "cases": cost.cases,
        "slices": cost.slices,
        "foreground_voxels": cost.foreground,
        "foreground_share": cost.share,
        "dice": _value(dice.mean),
        "hd95": _value(hd95.mean),
        "hd95_penalised": _value(hd95.penalised),
        "undefined": dice.undefined,
        "undefined_distances": hd95.undefined,
        "distances": figures.pairs,
        "seconds": summary.facts["seconds"],
        "processor_seconds": summary.facts.get("processor_seconds"),
        "run": str(training.folder / "run"),
    }


def for_each_strategy(rows: Sequence[dict[str, Any]], strategies: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with that of a shared start repeated for every strategy."""
    listed = []
    for row in rows:
        if row["strategy"] == SHARED_START:
            listed += [row | {"strategy": strategy} for strategy in dict.fromkeys(strategies)]
        else:
            listed.append(row)
    return listed


def _value(mean: float | None) -> float:
    return math.nan if mean is None else mean
