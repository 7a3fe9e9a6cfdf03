"""Gains of a study's rows over their rivals, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mednoisy.evaluation.seeds_and_patients import SeedFigures
from mednoisy.report.number_format import interval, number, probability
from mednoisy.report.tables.text_tables import markdown_table

COLUMNS = {
    "labeled": "labeled", "row": "row", "rival": "against", "gain": "Dice points", "interval": "95 % interval",
    "p": "p", "p_holm": "p (Holm)", "seeds": "seeds", "patients": "patients",
}  # fmt: skip


def gain_line(labeled: int, row: str, rival: str, figures: SeedFigures, p_holm: float | None) -> dict[str, Any]:
    """A line of `gain_table`."""
    return {
        "labeled": labeled,
        "row": row,
        "rival": rival,
        "gain": number(figures.mean, "dice", signed=True),
        "interval": interval(figures.interval, "dice", signed=True) or "–",
        "p": probability(figures.p),
        "p_holm": probability(p_holm),
        "seeds": len(figures.of_seed),
        "patients": figures.patients,
    }


def gain_table(title: str, lines: Sequence[Mapping[str, Any]], missing: Mapping[str, Sequence[str]], noun: str) -> str:
    """A heading, the lines as a table, and which rivals are missing, of which rows.

    Args:
        title: what the rivals are.
        lines: of `gain_line`.
        missing: rows that were not run, each with the rows that lack it.
        noun: what is resampled, such as `patient`.
    """
    parts = [f"**Against {title}**\n"]
    if lines:
        parts.append(markdown_table(lines, COLUMNS | {"patients": f"{noun}s"}))
    parts += [f"Not run: {name}, the rival of {', '.join(rows)}.\n" for name, rows in missing.items()]
    return "\n".join(parts)


def family(count: int, several_seeds: bool, who: str) -> str:
    """What the numbers of the tables are: the interval, the test, the family of Holm's correction.

    Args:
        count: of all differences.
        several_seeds: whether any row has more than one.
        who: a sentence that says whom intervals and tests take for one.
    """
    seeds = ", averaged over seeds" if several_seeds else ""
    varied = "patients and seeds together" if several_seeds else "patients"
    return (
        f"Mean differences of the final checkpoints' Dice, deployed predictor; intervals are over {varied}. "
        f"p: two-sided Wilcoxon signed-rank test over patients' mean differences{seeds}. "
        f"Holm's correction is for all differences of these tables together, {count} of them. {who}\n"
    )
