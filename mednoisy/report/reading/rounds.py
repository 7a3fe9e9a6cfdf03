"""What a page needs of a round of pseudo-labels, read from the folder that training has left.

`round.json` says what labeled and what came of it, `cases.csv` has a line for each case, `datalist.json` names images,
masks, confidence maps and hidden references.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mednoisy import text_files
from mednoisy.errors import UserError
from mednoisy.evaluation import json_values as checked
from mednoisy.text_files import Unusable, read_json

FACTS, CASES, DATALIST = "round.json", "cases.csv", "datalist.json"
FIGURES = {"confidence": "Mean confidence", "area": "Area", "dice": "Dice"}  # columns of cases.csv, 0 to 1
FACT_NAMES = (
    "stage", "teacher", "teacher_step", "teacher_digest", "predictor", "rules", "unlabeled", "kept", "share_kept",
    "confidence", "area", "dice", "dice_kept",
)  # fmt: skip


@dataclass(frozen=True)
class LabeledCase:
    """A line of `cases.csv`; an undefined figure is NaN."""

    name: str
    kept: bool
    reason: str
    centre: str
    figures: Mapping[str, float]

    @property
    def fate(self) -> str:
        """Kept, or which rule dropped it."""
        return "kept" if self.kept else f"dropped: {self.reason}"


def read_facts(path: Path) -> dict[str, Any]:
    """What labeled in a round and what came of it; figures from 0 to 1, None where undefined (E404)."""
    facts = read_table(path)
    if absent := [name for name in FACT_NAMES if name not in facts]:
        raise damaged(path, f"it lacks {', '.join(absent)}")
    try:
        for name in ("share_kept", "confidence", "area", "dice", "dice_kept"):
            checked.number_or_none(facts[name], name)
        for name in ("teacher_step", "kept", "unlabeled"):
            checked.count(facts[name], name)
        checked.table(facts["rules"], "rules")
        checked.text(facts["stage"], "stage")
    except ValueError as fault:
        raise damaged(path, str(fault)) from fault
    return facts


def read_table(path: Path) -> dict[str, Any]:
    """The table of a JSON file (E404)."""
    try:
        content = read_json(path)
    except Unusable as fault:
        raise damaged(path, str(fault)) from fault
    if not isinstance(content, dict):
        raise damaged(path, "it holds no table")
    return content


def read_cases(path: Path) -> list[LabeledCase]:
    """The cases of a round, in the order of their labelling (E404)."""
    try:
        cases = [_case(row) for row in text_files.read_table(path)]
    except KeyError as fault:
        raise damaged(path, f"it lacks the column {fault}") from fault
    except ValueError as fault:
        raise damaged(path, str(fault)) from fault
    if not cases:
        raise damaged(path, "it holds no case")
    return cases


def _case(row: Mapping[str, str]) -> LabeledCase:
    figures = {name: float(row[name] or math.nan) for name in FIGURES}
    return LabeledCase(row["id"], row["kept"] == "1", row["reason"], row.get("centre") or "", figures)


def damaged(path: Path, why: str, *, scored: bool = False) -> UserError:
    """What is said of a file of a run that cannot be used; `scored`, one of figures, which runs have and others."""
    cure = "Restore the file, or train the run again"
    if scored:
        cure = "Restore the file, or score again by mednoisy evaluate"
    return UserError("E404", f"{path} cannot be used: {why}", cure)
