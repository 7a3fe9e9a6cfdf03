"""Rows and summaries of what a run's predictors were scored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mednoisy.data.datalist import Case
from mednoisy.data.images import Image
from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.metrics import TABLE_METRICS, VOLUMES, Row
from mednoisy.evaluation.statistics import summarise
from mednoisy.evaluation.summary_file import ScoredCase
from mednoisy.inference.label_map_files import label_file

SCORED_ZERO = tuple(name for name in TABLE_METRICS if name not in VOLUMES)  # of an empty prediction
PACKAGES = ("mednoisy", "monai", "torch", "numpy", "scipy")


def checkpoint_figures(
    rows: Sequence[Row], checkpoint: str, cases: Sequence[ScoredCase]
) -> dict[str, PredictorFigures]:
    """Figures of each predictor of a checkpoint; `published` has no diagonals, its distances are in voxels."""
    patient_of = {case.id: case.drawn_with for case in cases if case.drawn_with}
    diagonal_of = {case.id: case.diagonal for case in cases if case.diagonal is not None and checkpoint != "published"}
    rows_of: dict[str, list[Row]] = {}
    for row in rows:
        if row["checkpoint"] == checkpoint:
            rows_of.setdefault(str(row["predictor"]), []).append(row)
    return {predictor: summarise(of, patient_of, diagonal_of) for predictor, of in rows_of.items()}


def scored_case(case: Case, diagonal: float) -> ScoredCase:
    image = case["image"]
    return ScoredCase(
        id=case["id"],
        image=tuple(image) if isinstance(image, list) else image,
        reference=case["label"],
        prediction=f"predictions/{label_file('', case['id'], image)}",
        centre=case.get("centre"),
        patient=case.get("patient"),
        scene=case.get("scene"),
        diagonal=round(diagonal, 6),
    )


def voxel_size(image: Image) -> float:
    """Of one voxel, in mm³ or mm²."""
    return abs(float(np.linalg.det(image.steps))) if np.ndim(image.steps) == 2 else math.prod(image.spacing)


def as_published(row: Row, voxel: float) -> Row:
    """A row that was scored in voxels as the reference code has it: 0 if empty; volumes stay physical."""
    zeros = dict.fromkeys(SCORED_ZERO, 0.0) if row["volume_prediction"] == 0 else {}
    return {**row, **zeros, **{name: float(row[name]) * voxel for name in VOLUMES}}
