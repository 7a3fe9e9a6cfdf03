"""What Dice is to be expected of predictions without a reference: `expected_dice.csv` of a run, read again."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from mednoisy.errors import UserError

FILE = "expected_dice.csv"
COLUMNS = ("case", "class", "expected_dice", "low", "high", "covers", "agreement")


@dataclass(frozen=True)
class ExpectedDice:
    """A row of the file: of one class of one case.

    Attributes:
        case, label: the case's id, and the name of the class.
        dice: that is expected, in [0, 1].
        ends: of the interval; None where there is none.
        covers: how often such intervals hold the truth, "8 of 9", or why there is none.
    """

    case: str
    label: str
    dice: float
    ends: tuple[float, float] | None
    covers: str


def read_expected_dices(folder: Path) -> list[ExpectedDice]:
    """The rows of a run's file, in its order; none where there is no file.

    Raises:
        UserError: E591, it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            return [_row(row) for row in csv.DictReader(stream)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as fault:
        cause = f"{path} is damaged: {fault!r}"
        raise UserError("E591", cause, "Remove it, then mednoisy evaluate RUN makes it again") from fault


def _row(row: dict[str, str]) -> ExpectedDice:
    ends = (float(row["low"]), float(row["high"])) if row["low"] and row["high"] else None
    return ExpectedDice(row["case"], row["class"], float(row["expected_dice"]), ends, row["covers"])
