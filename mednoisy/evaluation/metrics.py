"""Overlap, distance and volume of segmentations, each defined once, and the tables that hold them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mednoisy.errors import UserError
from mednoisy.evaluation.bounding_boxes import union_box
from mednoisy.evaluation.distance_summaries import summarise_distances
from mednoisy.evaluation.oblique_distances import oblique_distances
from mednoisy.evaluation.overlap import dice_of_sizes, jaccard_of_sizes
from mednoisy.evaluation.surface_distances import directed_distances
from mednoisy.files import write_text

HIGHER_IS_BETTER = {"dice": True, "jaccard": True, "nsd": True}  # of distances and their like, lower is
MAIN_METRICS = ("dice", "jaccard", "hd95", "asd")  # the columns of published tables
VOLUMES = ("volume_prediction", "volume_reference")
TABLE_METRICS = (*MAIN_METRICS, "assd", "hd", "nsd", *VOLUMES)  # of `metrics.csv`
DISTANCES = ("hd95", "hd95_maximum", "hd", "asd", "asd_reference_to_prediction", "assd", "masd")
TEXT_COLUMNS = ("checkpoint", "predictor", "case", "set", "region")
FEW_CODES = 16  # a pass for each is faster than sorting

Row = dict[str, "str | int | float"]


def case_metrics(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float] | np.ndarray,
    labels: Iterable[int] | None = None,
    tolerance: float = 1.0,
) -> dict[int, dict[str, float]]:
    """Every metric of every class of one case.

    With A and B the voxels of a class in prediction and reference, S the surface (`surface_distances.surface`) and
    d(A→B) the distances from S(A) to the nearest voxel of S(B):

    - `dice` 2|A∩B| / (|A|+|B|) and `jaccard` |A∩B| / |A∪B|;
    - `hd95`, the 95th percentile (linear interpolation) of d(A→B) and d(B→A) pooled; `hd95_maximum`, the larger
      of the two percentiles of each direction alone; `hd`, the maximum of both directions;
    - `asd`, the mean of d(A→B), directed from prediction to reference as published tables have it, and
      `asd_reference_to_prediction`, the mean of d(B→A);
    - `assd`, the mean of both directions pooled; `masd`, the mean of the two directed means;
    - `nsd`, the share of the voxels of both surfaces that lie within the tolerance of the other surface;
    - `volume_prediction`, `volume_reference`.

    What is undefined is NaN: with A and B empty all but the volumes, with one of them empty the distances
    (`dice`, `jaccard` and `nsd` are 0 then).

    Args:
        prediction, reference: label codes, 0 is background; integer, bool or whole floats; same shape, 2 or 3 axes.
        spacing: distance of neighbouring voxels along each axis, in mm; or, where axes do not stand at right angles, a
            matrix (axes, axes) whose columns are the steps along each.
        labels: codes to score, others are ignored; all that occur in either map if not given.
        tolerance: of `nsd`, in mm; distances longer by a relative 1e-9 still count, as 3 x 0.1 mm is not 0.3 mm.

    Returns:
        Class code to metric to value; distances in mm, volumes in ml, or mm² with two axes.

    Raises:
        ValueError: shapes, axes or spacing that do not fit, or codes that are not whole numbers.

    Source: medpy 0.5.2 gives the same values where it gives any, MONAI 1.6.1 the same `hd95_maximum`; Maier-Hein
    et al. 2024 for `masd` and `nsd`. `docs/reference/metrics.md` has the formulas and the packages side by side.

    Examples:
        Two of two pixels, half a millimetre apart, one of them shared:

        >>> prediction, reference = np.array([[0, 1, 1, 0]]), np.array([[1, 1, 0, 0]])
        >>> of_class_1 = case_metrics(prediction, reference, spacing=(1.0, 0.5))[1]
        >>> of_class_1["dice"], of_class_1["hd95"], of_class_1["asd"], of_class_1["volume_reference"]
        (0.5, 0.5, 0.25, 1.0)
        >>> case_metrics(0 * prediction, reference, spacing=(1.0, 0.5))[1]["hd95"]  # nothing predicted: undefined
        nan
    """
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    _check(prediction, reference, spacing)
    box = union_box(prediction, reference)
    prediction, reference = _whole(prediction[box]), _whole(reference[box])
    codes = sorted(set(labels)) if labels is not None else sorted((_codes(prediction) | _codes(reference)) - {0})
    return {code: _class_metrics(prediction, reference, code, spacing, tolerance) for code in codes}


def _class_metrics(
    prediction: np.ndarray, reference: np.ndarray, code: int, spacing: Sequence[float] | np.ndarray, tolerance: float
) -> dict[str, float]:
    masks = prediction == code, reference == code
    size_prediction, size_reference = (int(np.count_nonzero(mask)) for mask in masks)
    sizes = int(np.count_nonzero(masks[0] & masks[1])), size_prediction, size_reference
    steps = np.asarray(spacing, dtype=np.float64)
    is_oblique = steps.ndim == 2
    directed = oblique_distances(*masks, steps) if is_oblique else directed_distances(*masks, steps.tolist())
    del masks  # the distances are searched for while they are read, which takes the surfaces alone
    size = abs(float(np.linalg.det(steps))) if is_oblique else math.prod(steps.tolist())
    voxel = size / (1000 if prediction.ndim == 3 else 1)
    values = {
        "dice": dice_of_sizes(*sizes),
        "jaccard": jaccard_of_sizes(*sizes),
        **dict.fromkeys(DISTANCES, math.nan),
        "nsd": 0.0 if size_prediction or size_reference else math.nan,
        "volume_prediction": size_prediction * voxel,
        "volume_reference": size_reference * voxel,
    }
    if size_prediction and size_reference:
        forth, back = summarise_distances(*directed, tolerance * (1 + 1e-9))
        pooled = forth.pooled(back)
        values |= {
            "hd95": pooled.percentile_95(),
            "hd95_maximum": max(forth.percentile_95(), back.percentile_95()),
            "hd": pooled.maximum(),
            "asd": forth.mean(),
            "asd_reference_to_prediction": back.mean(),
            "assd": pooled.mean(),
            "masd": (forth.mean() + back.mean()) / 2,
            "nsd": pooled.within / pooled.count,
        }
    return values


def write_metrics(path: Path | str, rows: Iterable[Mapping], columns: Sequence[str]) -> None:
    """Write a table of metrics as CSV, whole or not at all; an undefined (NaN) value is an empty field.

    Args:
        path: `metrics.csv` of a run (columns case, class, then metrics) or its `scores.csv`, which has checkpoint
            and predictor before them.
        rows: each with a value for every column; further entries are left out.
        columns: names, in order.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_metrics(f"{folder}/m.csv", [{"case": "A1", "dice": 0.5, "hd95": math.nan}], ["case", "hd95"])
        ...     print(Path(folder, "m.csv").read_text(), end="")
        case,hd95
        A1,
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if _undefined(row[name]) else row[name] for name in columns])
    write_text(path, text.getvalue())


def read_metrics(path: Path | str) -> list[Row]:
    """Rows of a table that `write_metrics` wrote: texts, the class as int, values as float, NaN if undefined.

    Raises:
        UserError: E401 if the file cannot be read, is no such table, or holds a value that is no number.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_metrics(f"{folder}/m.csv", [{"case": "A1", "class": 1, "dice": 0.5}], ["case", "class", "dice"])
        ...     read_metrics(f"{folder}/m.csv")
        [{'case': 'A1', 'class': 1, 'dice': 0.5}]
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream, strict=True)
            if not {"case", "class"} <= set(reader.fieldnames or ()):
                raise ValueError(f"its columns are {', '.join(reader.fieldnames or ()) or 'none'}")
            return [_typed(row) for row in reader]
    except (OSError, ValueError, TypeError, csv.Error) as fault:
        raise UserError("E401", f"{path} is no table of metrics: {fault}", "Evaluate the run again") from fault


def _typed(row: Mapping[str, str]) -> Row:
    typed: Row = {}
    for name, text in row.items():
        if name in TEXT_COLUMNS:
            typed[name] = text
        elif name == "class":
            typed[name] = int(text)
        else:
            typed[name] = float(text) if text else math.nan
    return typed


def _undefined(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _check(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float] | np.ndarray) -> None:
    if prediction.shape != reference.shape or prediction.ndim not in (2, 3):
        raise ValueError(
            f"prediction is {prediction.shape}, reference is {reference.shape}; they must be equal and have 2 or 3 axes"
        )
    if np.ndim(spacing) == 2:
        steps = np.asarray(spacing, dtype=np.float64)
        square = steps.shape == (prediction.ndim,) * 2
        if not square or not np.isfinite(steps).all() or not np.linalg.det(steps):
            raise ValueError(
                f"the steps are {steps.tolist()}; they must be {prediction.ndim} columns that span the grid"
            )
        return
    if len(spacing) != prediction.ndim or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}; it must be {prediction.ndim} lengths above 0, in mm")


def _whole(labels: np.ndarray) -> np.ndarray:
    if labels.dtype == bool:
        return labels.view(np.uint8)  # a comparison of bool with a code would be made in int64
    if labels.dtype.kind not in "iu" and not all(_are_whole(plane) for plane in labels):  # planes, as copies are made
        raise ValueError("label codes must be whole numbers")
    return labels


def _are_whole(labels: np.ndarray) -> bool:
    return bool(np.isfinite(labels).all()) and np.array_equal(np.rint(labels), labels)


def _codes(labels: np.ndarray) -> set[int]:
    if not labels.size:
        return set()
    low, high = int(labels.min()), int(labels.max())
    if high - low < FEW_CODES:
        return {code for code in range(low, high + 1) if code in (low, high) or (code and (labels == code).any())}
    return {int(code) for plane in labels for code in np.unique(plane)}  # sorted copies of one plane stay small
