"""The table of a study: what each method reached with so many labels, over its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mednoisy.report.checkpoint_names import checkpoint_name
from mednoisy.report.tables.text_tables import markdown_table, mean_and_deviation


def study_table(rows: Sequence[Mapping[str, Any]], unit: str = "mm", *, validated: bool = True) -> str:
    """Rows of one study in Markdown: a line per method, recipe, labels and predictor, the deployed one first.

    Dice of the honest, the final and (where it was kept) the published checkpoint in per cent, HD95 and ASD of
    the final one; mean over seeds, with the standard deviation where there are several.

    Args:
        rows: of `rows.csv`, one a run, checkpoint and predictor.
        unit: of distances.
        validated: whether the runs had validation cases, which choose the honest checkpoint.
    """
    columns = {
        "labeled": "labeled", "method": "method", "recipe": "recipe", "predictor": "predictor",
        "honest": f"Dice, {checkpoint_name('honest', validated=validated)}", "final": "Dice, final",
        "published": "Dice, published", "hd95": f"HD95, final, {unit}", "asd": f"ASD, final, {unit}",
        "seeds": "seeds", "minutes": "training, min",
    }  # fmt: skip
    if not any(row["checkpoint"] == "published" for row in rows):
        del columns["published"]
    return markdown_table([_line(key, members) for key, members in _grouped(rows).items()], columns)


def _grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple, list[Mapping[str, Any]]]:
    """Rows by labels, method, recipe, predictor and whether it is deployed: the deployed one first."""
    runs: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[row["labeled"], row["method"], row["recipe"]].append(row)
    groups: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for run, members in runs.items():
        for row in sorted(members, key=lambda row: not row["deployed"]):
            groups[*run, row["predictor"], row["deployed"]].append(row)
    return groups


def _line(key: tuple, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    labeled, method, recipe, predictor, deployed = key
    by_checkpoint: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_checkpoint[row["checkpoint"]].append(row)
    dice = {name: [row["dice"] for row in by_checkpoint[name]] for name in ("honest", "final", "published")}
    final = by_checkpoint["final"]
    return {
        "labeled": labeled,
        "method": method,
        "recipe": recipe,
        "predictor": predictor + (" (deployed)" if deployed else ""),
        **{name: mean_and_deviation(values, 1, scale=100) for name, values in dice.items()},
        "hd95": mean_and_deviation([row["hd95"] for row in final], 2),
        "asd": mean_and_deviation([row["asd"] for row in final], 2),
        "seeds": len(final),
        "minutes": mean_and_deviation([row["seconds"] / 60 for row in final], 0),
    }
