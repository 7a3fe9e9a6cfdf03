"""Rounds of pseudo-labels: what is told of each in its run's page, and the page of one round."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mednoisy.files import write_text
from mednoisy.report import sentences as wording
from mednoisy.report.html import rendered
from mednoisy.report.pictures.pseudo_label_pictures import shown_labels
from mednoisy.report.plots.drawing import Plot, distributions
from mednoisy.report.reading.rounds import (
    CASES,
    DATALIST,
    FACTS,
    FIGURES,
    LabeledCase,
    read_cases,
    read_facts,
    read_table,
)

PAGE = "page.html"
SHORT_TABLE = 24  # rows up to which the table of all cases is unfolded


def round_table(run: Path, page_folder: Path) -> list[dict]:
    """A line for each round of a run, in the order in which they were; none where it has no rounds.

    Args:
        run: folder of the run.
        page_folder: of the page that shows the table; rounds are linked from the run's own folder alone.

    Raises:
        UserError: E404, a round's facts cannot be read.
    """
    lines = []
    for path in sorted((run / "rounds").glob(f"*/{FACTS}"), key=lambda path: _natural(path.parent.name)):
        facts, name = read_facts(path), path.parent.name
        linked = page_folder.resolve() == run.resolve() and (path.parent / PAGE).is_file()
        lines.append(
            {
                "name": name,
                "teacher": _teacher(facts),
                "step": wording.fact(facts["teacher_step"]),
                "kept": f"{facts['kept']} of {facts['unlabeled']}",
                "share": wording.share(facts["share_kept"]),
                "confidence": _percent(facts["confidence"]),
                "area": _percent(facts["area"]),
                "dice": wording.number(facts["dice"], "dice"),
                "dice_kept": wording.number(facts["dice_kept"], "dice"),
                "link": f"rounds/{quote(name)}/{PAGE}" if linked else "",
            }
        )
    return lines


def write_round_page(folder: Path, run_name: str | None = None) -> Path:
    """Write `page.html` of a round: figures, spreads, a table of all cases, and pictures of some.

    Args:
        folder: of the round, complete up to its `datalist.json`.
        run_name: told in the title.

    Returns:
        The page's path.

    Raises:
        UserError: E404, a file of the round is absent or damaged. A mask, a confidence map or an image that cannot be
            read leaves a note in the place of the picture.
    """
    folder = Path(folder)
    facts, cases = read_facts(folder / FACTS), read_cases(folder / CASES)
    datalist = read_table(folder / DATALIST)
    write_text(folder / PAGE, rendered("round.html", ("table.js",), _content(folder, facts, cases, datalist, run_name)))
    return folder / PAGE


def _content(
    folder: Path, facts: Mapping[str, Any], cases: list[LabeledCase], datalist: Mapping[str, Any], run: str | None
) -> dict:
    codes = {int(code): str(name) for code, name in datalist["labels"].items() if int(code)}
    known = any(not math.isnan(case.figures["dice"]) for case in cases)
    shown = [name for name in FIGURES if name != "dice" or known]
    return {
        "stage": facts["stage"],
        "title": f"{facts['stage']}: pseudo-labels of this round" + (f", {run}" if run else ""),
        "dataset": str(datalist["name"]),
        "teacher": _teacher(facts),
        "predictor": facts["predictor"],
        "step": wording.fact(facts["teacher_step"]),
        "digest": facts["teacher_digest"],
        "kept": facts["kept"],
        "unlabeled": facts["unlabeled"],
        "share": wording.share(facts["share_kept"]),
        "figures": {name: _percent(facts[name]) for name in ("confidence", "area", "dice", "dice_kept")},
        "rules": {name.replace("_", " "): wording.fact(value) for name, value in facts["rules"].items()},
        "known": known,
        "plots": [_plot(cases, name) for name in shown],
        "groups": shown_labels(folder, cases, datalist, list(codes)),
        "classes": list(codes.values()),
        "undecided": f"1/{len(codes) + 1}",
        "headings": [f"{FIGURES[name]} %" for name in shown],
        "centres": any(case.centre for case in cases),
        "rows": [
            {
                "name": case.name,
                "fate": case.fate,
                "centre": case.centre,
                "cells": [_cell(case.figures[name]) for name in shown],
            }
            for case in cases
        ],
        "unfolded": len(cases) <= SHORT_TABLE,
    }


def _plot(cases: Iterable[LabeledCase], figure: str) -> Plot:
    """How a figure spreads over the kept and over the dropped cases."""
    of_fate: dict[str, dict[str, float]] = {"kept": {}, "dropped": {}}
    for case in cases:
        of_fate["kept" if case.kept else "dropped"][case.name] = 100 * case.figures[figure]
    filled = {fate: values for fate, values in of_fate.items() if values}
    label = f"{FIGURES[figure]} %"
    return distributions(filled, label, f"How {label} spreads over {' and '.join(filled)} cases", limits=(0, 100))


def _teacher(facts: Mapping[str, Any]) -> str:
    """The stage that labeled, or the last part of the path of the run that did."""
    return str(facts["teacher"]).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def _cell(value: float) -> dict[str, str]:
    return {"shown": _percent(value), "value": "" if math.isnan(value) else f"{value:.6g}"}


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """What puts student10 behind student2."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
