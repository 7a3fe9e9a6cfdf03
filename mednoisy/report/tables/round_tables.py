"""Rounds of pseudo-labels as plain values for a page: the rounds of a run, the cases of one round."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mednoisy.report.number_format import fact, percent, share
from mednoisy.report.reading.rounds import FACTS, FIGURES, LabeledCase, read_facts
from mednoisy.report.tables.case_table import SHORT_TABLE, sorted_cell

ROUND_PAGE = "page.html"  # of a round, in its folder


def rounds_of_run(run: Path, page_folder: Path) -> list[dict]:
    """A line for each round of a run, in the order in which they were; none where it has no rounds.

    Args:
        run: folder of the run.
        page_folder: of the page that shows the table; rounds are linked from the run's own folder alone.

    Raises:
        UserError: E404, a round's facts cannot be read.
    """
    lines = []
    for path in sorted((run / "rounds").glob(f"*/{FACTS}"), key=lambda path: _by_number(path.parent.name)):
        facts, name = read_facts(path), path.parent.name
        linked = page_folder.resolve() == run.resolve() and (path.parent / ROUND_PAGE).is_file()
        lines.append(
            {
                "name": name,
                "teacher": teacher_name(facts),
                "step": fact(facts["teacher_step"]),
                "kept": f"{facts['kept']} of {facts['unlabeled']}",
                "share": share(facts["share_kept"]),
                **{figure: percent(facts[figure]) for figure in ("confidence", "area", "dice", "dice_kept")},
                "link": f"rounds/{quote(name)}/{ROUND_PAGE}" if linked else "",
            }
        )
    return lines


def labeled_case_table(cases: Sequence[LabeledCase], figures: Sequence[str]) -> dict:
    """One line for each case of a round, with its fate, some of its `FIGURES` and its centre where any names one."""
    return {
        "headings": [f"{FIGURES[figure]} %" for figure in figures],
        "centres": any(case.centre for case in cases),
        "rows": [
            {
                "name": case.name,
                "fate": case.fate,
                "centre": case.centre,
                "cells": [sorted_cell(percent(case.figures[figure]), case.figures[figure]) for figure in figures],
            }
            for case in cases
        ],
        "unfolded": len(cases) <= SHORT_TABLE,
    }


def known_figures(cases: Sequence[LabeledCase]) -> list[str]:
    """The `FIGURES` that cases of a round have: without hidden references there is no Dice."""
    any_dice = any(not math.isnan(case.figures["dice"]) for case in cases)
    return [figure for figure in FIGURES if figure != "dice" or any_dice]


def teacher_name(facts: Mapping[str, Any]) -> str:
    """The stage that labeled, or the last part of the path of the run that did."""
    return str(facts["teacher"]).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """What puts student10 behind student2."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
