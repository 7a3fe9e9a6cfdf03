"""What an evaluation leaves in its folder, however it was started: rows of figures and `summary.json`.

`summary.json`, schema 2 (docs/reference/summary_file.md lists its entries for users):

- `schema`: 2. Schema 1 is the same without `shown`, `codes`, `mapping`, `failed` and `notes`.
- `run`: facts in the order shown. A training run has `method`; `title` overrides the name made from the others.
- `labels`: class code as text to name.
- `deployed`: the predictor that `metrics.csv` scores; `shown`: at which checkpoint.
- `checkpoints`: name to `{"step": n or null, "predictors": {name: figures}}`, figures as `statistics.summarise` has
  them. A training run has `honest`, `final` and perhaps `published`; label maps that came from elsewhere `given`.
- `undefined`: how many values of published tables' metrics in `metrics.csv` are undefined.
- `cases`: list of `{"id", "reference", "prediction"}` and perhaps `"image"`, paths relative to the folder or absolute,
  and `"centre"` where the case names one; then `run` may tell `centres_in_training`.
- `codes`: list of those that the label maps' files may hold, null for any; a training run has none: its labels.
- `mapping`: code as text to code, which `data.label_maps` applied to the label maps' files.
- `failed`: list of `{"id", "reason"}`, cases that could not be scored; `notes`: texts worth reading.
- `versions`: package to version.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.evaluation.metrics import MAIN_METRICS, TABLE_METRICS, Row, case_metrics
from mednoisy.files import write_text

SCHEMA = 2
COLUMNS = ("case", "class", *TABLE_METRICS)  # of metrics.csv


def score_case(
    case: str,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    labels: Iterable[int] | None = None,
    tolerance: float = 1.0,
) -> list[Row]:
    """The rows of `metrics.csv` of one case, one for each class; arguments as for `metrics.case_metrics`."""
    metrics = case_metrics(prediction, reference, spacing, labels, tolerance)
    return [
        {"case": case, "class": code, **{name: values[name] for name in TABLE_METRICS}}
        for code, values in metrics.items()
    ]


def absent_row(case: str, code: int) -> Row:
    """The row of a class that neither prediction nor reference of a case has."""
    nothing = {name: 0.0 if name.startswith("volume") else math.nan for name in TABLE_METRICS}
    return {"case": case, "class": code, **nothing}


def count_undefined(rows: Iterable[Mapping]) -> int:
    """How many values of published tables' metrics are undefined."""
    return sum(math.isnan(row[metric]) for row in rows for metric in MAIN_METRICS)


def write_summary(folder: Path, content: Mapping[str, Any], packages: Iterable[str]) -> None:
    """Write `summary.json`, whole or not at all.

    Args:
        folder: of the run or the evaluation.
        content: all entries but `schema` and `versions`.
        packages: whose versions are told beside Python's.
    """
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    summary = {"schema": SCHEMA, **content, "versions": versions}
    text = json.dumps(summary, indent=1, default=_plain, allow_nan=False, ensure_ascii=False)
    write_text(folder / "summary.json", text + "\n")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in a summary")
