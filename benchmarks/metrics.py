"""Time of all metrics together against medpy's and MONAI's calls and a plain KD-tree, one thread, interleaved.

    python benchmarks/metrics.py --predictions RUN/predictions ... --references LABELS --figures FIGURES [--rounds 3]

PREDICTIONS are folders of masks that are named as those in REFERENCES; one on a coarser grid is resampled linearly.
FIGURES is `surface_metrics_la.npz` of the reference figures: three real left atria, perturbed, and edge cases. Worst
cases are made up. Each round runs every package once on every pair; rows show the medians over the rounds in
milliseconds of processor time (on a busy machine the clock on the wall flatters short calls), summed over the pairs of
a group, how many times longer the others take, and the smallest such factor of any pair. Values are compared on the
way: a difference beyond 1e-9 (MONAI counts and interpolates in float32: 1e-4) ends the run.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np
import torch
from medpy.metric import binary
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage
from scipy.spatial import KDTree

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.images import read_image
from mednoisy.evaluation.bounding_boxes import bounding_box
from mednoisy.evaluation.metrics import case_metrics
from mednoisy.evaluation.surface_distances import surface
from mednoisy.report.tables.text_tables import markdown_table

TOLERANCE = 1.0
OTHERS = {"medpy": 1e-9, "monai": 1e-4, "tree": 1e-9}  # how far values may differ: MONAI interpolates in float32


class Grid(TypedDict):
    """What MONAI's surface metrics want to know beside the masks."""

    include_background: bool
    spacing: tuple[float, ...]


Pair = tuple[str, np.ndarray, np.ndarray, tuple[float, ...]]  # group, prediction, reference, spacing


def by_mednoisy(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    return case_metrics(prediction, reference, spacing, tolerance=TOLERANCE)[1]


def by_medpy(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    distances = {"hd95": binary.hd95, "hd": binary.hd, "asd": binary.asd, "assd": binary.assd}
    values = {name: float(call(prediction, reference, spacing)) for name, call in distances.items()}
    values["asd_reference_to_prediction"] = float(binary.asd(reference, prediction, spacing))
    return values | {"dice": binary.dc(prediction, reference), "jaccard": binary.jc(prediction, reference)}


def by_monai(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    a, b = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    grid: Grid = {"include_background": True, "spacing": spacing}
    values = {
        "hd95_maximum": compute_hausdorff_distance(a, b, percentile=95, **grid),
        "hd": compute_hausdorff_distance(a, b, **grid),
        "asd": compute_average_surface_distance(a, b, **grid),
        "assd": compute_average_surface_distance(a, b, symmetric=True, **grid),
        "nsd": compute_surface_dice(a, b, class_thresholds=[TOLERANCE], **grid),
        "dice": compute_dice(a, b),
        "jaccard": compute_iou(a, b),
    }
    return {name: value.item() for name, value in values.items()}


def by_tree(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    """The same figures as the plain way has them: a tree over each surface, a query for every surface voxel."""
    box = bounding_box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    points = [np.argwhere(surface(mask)) * spacing for mask in (prediction, reference)]
    forth, back = KDTree(points[1]).query(points[0])[0], KDTree(points[0]).query(points[1])[0]
    pooled = np.concatenate([forth, back])
    shared, both = np.count_nonzero(prediction & reference), np.count_nonzero(prediction) + np.count_nonzero(reference)
    return {
        "dice": 2 * shared / both,
        "jaccard": shared / (both - shared),
        "hd95": np.percentile(pooled, 95),
        "hd95_maximum": max(np.percentile(forth, 95), np.percentile(back, 95)),
        "hd": pooled.max(),
        "asd": forth.mean(),
        "asd_reference_to_prediction": back.mean(),
        "assd": pooled.mean(),
        "nsd": np.count_nonzero(pooled <= TOLERANCE * (1 + 1e-9)) / pooled.size,
    }


PACKAGES: dict[str, Callable] = {"mednoisy": by_mednoisy, "medpy": by_medpy, "monai": by_monai, "tree": by_tree}


def real_pairs(predictions: list[Path], references: Path) -> Iterator[Pair]:
    for folder in predictions:
        for path in sorted(folder.glob("*.nii.gz")):
            reference = read_image(references / path.name)
            truth, mask = reference.array == 1, read_image(path).array == 1
            if mask.shape != truth.shape:
                zoom = [size / coarse for size, coarse in zip(truth.shape, mask.shape, strict=True)]
                mask = ndimage.zoom(mask.astype(np.float32), zoom, order=1, mode="nearest", grid_mode=True) > 0.5
            yield (
                "real: " + (folder.parent.name if folder.name == "predictions" else folder.name),
                mask,
                truth,
                (tuple(float(step) for step in reference.spacing)),
            )


def golden_pairs(path: Path) -> Iterator[Pair]:
    spacings = {"golden, 1 mm": (1.0, 1.0, 1.0), "golden, 0.6 x 0.8 x 3 mm": (0.6, 0.8, 3.0)}
    with np.load(path) as figures:
        for group, spacing in spacings.items():
            for name in figures["names"]:
                shape = tuple(figures[f"{name}__shape"])
                bits = [np.unpackbits(figures[f"{name}__{side}"])[: math.prod(shape)] for side in ("pred", "gt")]
                prediction, reference = (flat.reshape(shape).astype(bool) for flat in bits)
                yield group, prediction, reference, spacing[: len(shape)]


def worst_pairs() -> Iterator[Pair]:
    """Made up so that looking up near neighbours is of no use, or that little is to be done in a large box."""
    noise = Draw(0, "benchmark", 0).generator("noise").random((2, 90, 90, 90))
    shape = (150, 160, 140)
    cases = {
        "far apart": (ball(shape, (20, 20, 20), 18), ball(shape, (130, 140, 120), 18)),
        "far apart, one axis": (ball(shape, (75, 25, 70), 22), ball(shape, (75, 135, 70), 22)),
        "two voxels": (ball(shape, (0, 0, 0), 0), ball(shape, (149, 159, 139), 0)),
        "tiny": (ball((40, 40, 40), (18, 20, 20), 2), ball((40, 40, 40), (20, 21, 20), 2)),
        "huge": (ball((200, 200, 200), (100, 100, 100), 95), ball((200, 200, 200), (97, 104, 101), 90)),
        "island": (ball(shape, (50, 50, 50), 45) | ball(shape, (140, 150, 130), 3), ball(shape, (50, 50, 50), 45)),
        "sheets": (sheet((150, 40, 150), 2), sheet((150, 40, 150), 37)),
        "noise": (noise[0] > 0.5, noise[1] > 0.5),
        "sparse noise": (noise[0] > 0.9995, noise[1] > 0.9995),
    }
    for name, (prediction, reference) in cases.items():
        for spacing in ((1.0, 1.0, 1.0), (0.6, 0.8, 3.0)):
            yield f"worst: {name}, {'1 mm' if spacing[0] == 1 else '0.6 x 0.8 x 3 mm'}", prediction, reference, spacing


def ball(shape: tuple[int, ...], centre: tuple[int, ...], radius: float) -> np.ndarray:
    grid = np.ogrid[tuple(slice(size) for size in shape)]
    squares = [(along - middle) ** 2 for along, middle in zip(grid, centre, strict=True)]
    return functools.reduce(np.add, squares) <= radius**2


def sheet(shape: tuple[int, ...], height: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:, height] = True
    return mask


def measure(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...], rounds: int) -> dict:
    """Median milliseconds of processor time of each package; the packages take turns."""
    times: dict[str, list[float]] = {name: [] for name in PACKAGES}
    for _ in range(rounds):
        results = {}
        for name, package in PACKAGES.items():
            start = time.process_time()
            results[name] = package(prediction, reference, spacing)
            times[name].append(1000 * (time.process_time() - start))
    for name, within in OTHERS.items():
        for metric, value in results[name].items():
            if not math.isclose(value, results["mednoisy"][metric], rel_tol=within, abs_tol=1e-9):
                sys.exit(f"{metric}: {name} has {value}, mednoisy {results['mednoisy'][metric]}")
    return {name: statistics.median(of_package) for name, of_package in times.items()}


def row(group: str, taken: list[dict]) -> dict:
    total = {f"{name}, ms": sum(times[name] for times in taken) for name in PACKAGES}
    factors: dict[str, float] = {}
    for name in OTHERS:
        factors[f"{name} / mednoisy"] = total[f"{name}, ms"] / total["mednoisy, ms"]
        factors[f"{name}, least"] = min(times[name] / times["mednoisy"] for times in taken)
    return {"group": group, "pairs": len(taken)} | total | factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, nargs="*", default=[])
    parser.add_argument("--references", type=Path)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="take every n-th of the real pairs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    pairs = [pair for place, pair in enumerate(real_pairs(arguments.predictions, arguments.references))
             if place % arguments.every == 0]  # fmt: skip
    pairs += golden_pairs(arguments.figures) if arguments.figures else []
    taken: dict[str, list[dict]] = {}
    for group, prediction, reference, spacing in (*pairs, *worst_pairs()):
        taken.setdefault(group, []).append(measure(prediction, reference, spacing, arguments.rounds))
        print(group, taken[group][-1], file=sys.stderr)
    rows = [row(group, of_group) for group, of_group in taken.items()]
    real = [times for group, of_group in taken.items() if group.startswith("real: ") for times in of_group]
    rows += [row("all real", real)] if real else []
    print(markdown_table(rows, list(rows[0])), end="")


if __name__ == "__main__":
    main()
