"""The page of one round of pseudo-labels: who labeled, what was kept, every case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mednoisy.files import write_text
from mednoisy.report.number_format import fact, percent, share
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.pictures.pseudo_label_pictures import shown_labels
from mednoisy.report.plots.plot_kinds import EmbeddedPlot, distributions
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
from mednoisy.report.tables.round_tables import ROUND_PAGE, known_figures, labeled_case_table, teacher_name


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
    content = _content(folder, facts, cases, read_table(folder / DATALIST), run_name)
    write_text(folder / ROUND_PAGE, rendered_page("round.html", ("table.js",), content))
    return folder / ROUND_PAGE


def _content(
    folder: Path, facts: Mapping[str, Any], cases: list[LabeledCase], datalist: Mapping[str, Any], run: str | None
) -> dict:
    codes = {int(code): str(name) for code, name in datalist["labels"].items() if int(code)}
    figures = known_figures(cases)
    return {
        "stage": facts["stage"],
        "title": f"{facts['stage']}: pseudo-labels of this round" + (f", {run}" if run else ""),
        "dataset": str(datalist["name"]),
        "teacher": teacher_name(facts),
        "predictor": facts["predictor"],
        "step": fact(facts["teacher_step"]),
        "digest": facts["teacher_digest"],
        "kept": facts["kept"],
        "unlabeled": facts["unlabeled"],
        "share": share(facts["share_kept"]),
        "figures": {name: percent(facts[name]) for name in ("confidence", "area", "dice", "dice_kept")},
        "rules": {name.replace("_", " "): fact(value) for name, value in facts["rules"].items()},
        "known": "dice" in figures,
        "plots": [_plot(cases, figure) for figure in figures],
        "groups": shown_labels(folder, cases, datalist, list(codes)),
        "classes": list(codes.values()),
        "undecided": f"1/{len(codes) + 1}",
        "table": labeled_case_table(cases, figures),
    }


def _plot(cases: Iterable[LabeledCase], figure: str) -> EmbeddedPlot:
    """How a figure spreads over the kept and over the dropped cases."""
    of_fate: dict[str, dict[str, float]] = {"kept": {}, "dropped": {}}
    for case in cases:
        of_fate["kept" if case.kept else "dropped"][case.name] = 100 * case.figures[figure]
    filled = {fate: values for fate, values in of_fate.items() if values}
    label = f"{FIGURES[figure]} %"
    return distributions(filled, label, f"How {label} spreads over {' and '.join(filled)} cases", limits=(0, 100))
