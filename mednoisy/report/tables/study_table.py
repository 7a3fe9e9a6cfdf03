"""The table of a study: what each method reached with so many labels, over its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mednoisy.report.checkpoint_names import checkpoint_name
from mednoisy.report.number_format import interval
from mednoisy.report.tables.text_tables import markdown_table, mean_and_deviation

Key = tuple[int, str, str, str]  # labels, method, recipe and predictor of a line


def study_table(
    rows: Sequence[Mapping[str, Any]],
    unit: str = "mm",
    *,
    validated: bool = True,
    intervals: Mapping[Key, tuple[float, float] | None] | None = None,
) -> str:
    """Rows of one study in Markdown: a line per method, recipe, labels and predictor, the deployed one first.

    Dice of the honest (or, without test cases, the chosen), the final and (where it was kept) the published checkpoint
    in per cent, HD95 and ASD of the final one; mean over seeds, with the standard deviation where there are several.
    How many of the final distances of all seeds are undefined and, where any is, the penalised means (the image's
    diagonal in their place).

    Args:
        rows: of `rows.csv`, one a run, checkpoint and predictor.
        unit: of distances.
        validated: whether the runs had validation cases, which choose the honest checkpoint.
        intervals: of the final Dice, by line; without them there is no such column.
    """
    columns = {
        "labeled": "labeled", "method": "method", "recipe": "recipe", "predictor": "predictor",
        "honest": f"Dice, {checkpoint_name('honest', validated=validated)}",
        "chosen": f"Dice, {checkpoint_name('chosen')}", "final": "Dice, final",
        "interval": "its 95 % interval", "published": "Dice, published", "hd95": f"HD95, final, {unit}",
        "hd95_penalised": "HD95 penalised", "asd": f"ASD, final, {unit}", "asd_penalised": "ASD penalised",
        "undefined": "undefined distances", "seeds": "seeds", "minutes": "training, min by the clock",
        "processor": "min of the processor",
    }  # fmt: skip
    for name in ("honest", "chosen", "published"):
        if not any(row["checkpoint"] == name for row in rows):
            del columns[name]
    if intervals is None:
        del columns["interval"]
    if not any(row["undefined_distances"] for row in rows if row["checkpoint"] == "final"):
        del columns["hd95_penalised"], columns["asd_penalised"]
    lines = [_line(key, members, intervals or {}) for key, members in _grouped(rows).items()]
    return markdown_table(lines, columns)


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


def _line(
    key: tuple, rows: Sequence[Mapping[str, Any]], intervals: Mapping[Key, tuple[float, float] | None]
) -> dict[str, Any]:
    labeled, method, recipe, predictor, deployed = key
    by_checkpoint: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_checkpoint[row["checkpoint"]].append(row)
    dice = {name: [row["dice"] for row in by_checkpoint[name]] for name in ("honest", "chosen", "final", "published")}
    final = by_checkpoint["final"]
    return {
        "labeled": labeled,
        "method": method,
        "recipe": recipe,
        "predictor": predictor + (" (deployed)" if deployed else ""),
        **{name: mean_and_deviation(values, 1, scale=100) for name, values in dice.items()},
        "interval": interval(intervals.get((labeled, method, recipe, predictor)), "dice") or None,
        **{
            name: mean_and_deviation([row[name] for row in final], 2)
            for name in ("hd95", "hd95_penalised", "asd", "asd_penalised")
        },
        "undefined": f"{sum(row['undefined_distances'] for row in final)} of {sum(row['distances'] for row in final)}",
        "seeds": len(final),
        "minutes": mean_and_deviation([row["seconds"] / 60 for row in final], 0),
        "processor": mean_and_deviation([_minutes(row["processor_seconds"]) for row in final], 0),
    }


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60
