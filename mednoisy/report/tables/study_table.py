"""The table of a study: what each method reached with so many labels, over its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mednoisy.report.tables.text_tables import markdown_table, mean_and_deviation


def study_table(rows: Sequence[Mapping[str, Any]], unit: str = "mm") -> str:
    """Rows of one study in Markdown: a line per method, recipe, labels and predictor, the deployed one first.

    Dice of the honest, the final and (where it was kept) the published checkpoint in per cent, HD95 and ASD of
    the final one, in `unit`; mean over seeds, with the standard deviation where there are several.
    """
    runs: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[row["labeled"], row["method"], row["recipe"]].append(row)
    groups: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for run, members in runs.items():
        for row in sorted(members, key=lambda row: not row["deployed"]):
            groups[*run, row["predictor"], row["deployed"]].append(row)
    lines = []
    for (labeled, method, recipe, predictor, deployed), members in groups.items():
        by_checkpoint = defaultdict(list)
        for row in members:
            by_checkpoint[row["checkpoint"]].append(row)
        final = by_checkpoint["final"]
        lines.append(
            {
                "labeled": labeled,
                "method": method,
                "recipe": recipe,
                "predictor": predictor + (" (deployed)" if deployed else ""),
                "honest": mean_and_deviation([100 * row["dice"] for row in by_checkpoint["honest"]], 1),
                "final": mean_and_deviation([100 * row["dice"] for row in final], 1),
                "published": mean_and_deviation([100 * row["dice"] for row in by_checkpoint["published"]], 1),
                "hd95": mean_and_deviation([row["hd95"] for row in final], 2),
                "asd": mean_and_deviation([row["asd"] for row in final], 2),
                "seeds": len(final),
                "minutes": mean_and_deviation([row["seconds"] / 60 for row in final], 0),
            }
        )
    headings = {
        "labeled": "labeled", "method": "method", "recipe": "recipe", "predictor": "predictor",
        "honest": "Dice, honest", "final": "Dice, final", "published": "Dice, published",
        "hd95": f"HD95, final, {unit}", "asd": f"ASD, final, {unit}", "seeds": "seeds", "minutes": "training, min",
    }  # fmt: skip
    if not any(row["checkpoint"] == "published" for row in rows):
        del headings["published"]
    return markdown_table(lines, headings)
