"""What a run reached, for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHOWN = {"dice": "Dice", "hd95": "HD95", "asd": "ASD"}


def result_lines(folder: Path | str) -> list[str]:
    """Means over the test cases of an evaluated run: a line per checkpoint that scores the deployed predictor.

    Args:
        folder: of the run; its `summary.json` is read.
    """
    summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
    deployed, unit = summary["deployed"], summary["run"].get("spacing_unit", "mm")
    lines = []
    for name, checkpoint in summary["checkpoints"].items():
        figures = checkpoint["predictors"][deployed]
        shown = [f"{heading} {_mean(figures['all'][metric], metric, unit)}" for metric, heading in SHOWN.items()]
        where = f"{name} (step {checkpoint['step']}), {deployed}, {figures['cases']} cases"
        lines.append(f"{where}: {', '.join(shown)}")
    return lines


def _mean(figures: Mapping[str, Any], metric: str, unit: str) -> str:
    if figures["mean"] is None:
        return "undefined"
    value = f"{figures['mean']:.3f}" if metric == "dice" else f"{figures['mean']:.2f} {unit}"
    return value + (f" ({figures['undefined']} undefined)" if figures["undefined"] else "")
