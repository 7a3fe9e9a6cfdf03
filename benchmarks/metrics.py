"""Time of all metrics together against medpy's and MONAI's calls, on the same masks, one thread, interleaved.

    python benchmarks/metrics.py FIGURES [--rounds 5]

FIGURES is `surface_metrics_la.npz` of the reference figures: three real left atria, perturbed, and edge cases. Each
round runs every package once on every pair; the table shows the medians in milliseconds and how many times longer
the others take. Values are compared on the way: a difference beyond 1e-5 (MONAI counts in float32) ends the run.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from medpy.metric import binary
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou

from mednoisy.evaluation.metrics import case_metrics
from mednoisy.report.tables import markdown_table

SPACINGS = {"voxels of 1 mm": (1.0, 1.0, 1.0), "0.6 x 0.8 x 3.0 mm": (0.6, 0.8, 3.0)}


def read_pairs(path: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pair name to prediction and reference, bool."""
    with np.load(path) as figures:
        pairs = {}
        for name in figures["names"]:
            shape = tuple(figures[f"{name}__shape"])
            bits = [np.unpackbits(figures[f"{name}__{side}"])[: math.prod(shape)] for side in ("pred", "gt")]
            pairs[str(name)] = (bits[0].reshape(shape).astype(bool), bits[1].reshape(shape).astype(bool))
        return pairs


def by_mednoisy(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    return case_metrics(prediction, reference, spacing)[1]


def by_medpy(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    distances = {"hd95": binary.hd95, "hd": binary.hd, "asd": binary.asd, "assd": binary.assd}
    overlaps = {"dice": binary.dc, "jaccard": binary.jc}
    values = {name: float(call(prediction, reference, spacing)) for name, call in distances.items()}
    return values | {name: float(call(prediction, reference)) for name, call in overlaps.items()}


def by_monai(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    pair = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
    compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)  # another definition
    values = {
        "hd": compute_hausdorff_distance(*pair, include_background=True, spacing=spacing),
        "asd": compute_average_surface_distance(*pair, include_background=True, spacing=spacing),
        "assd": compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=spacing),
        "dice": compute_dice(*pair),
        "jaccard": compute_iou(*pair),
    }
    return {name: value.item() for name, value in values.items()}


PACKAGES: dict[str, Callable] = {"mednoisy": by_mednoisy, "medpy": by_medpy, "monai": by_monai}


def measure(prediction: np.ndarray, reference: np.ndarray, spacing: tuple[float, ...], rounds: int) -> dict:
    """Median milliseconds of each package; the packages take turns."""
    times: dict[str, list[float]] = {name: [] for name in PACKAGES}
    for _ in range(rounds):
        results = {}
        for name, package in PACKAGES.items():
            start = time.perf_counter()
            results[name] = package(prediction, reference, spacing)
            times[name].append(1000 * (time.perf_counter() - start))
        for name in ("medpy", "monai"):
            for metric, value in results[name].items():
                if not math.isclose(value, results["mednoisy"][metric], rel_tol=1e-5, abs_tol=1e-9):
                    sys.exit(f"{metric}: {name} has {value}, mednoisy {results['mednoisy'][metric]}")
    return {name: statistics.median(of_package) for name, of_package in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    rows = []
    for grid, spacing in SPACINGS.items():
        for name, (prediction, reference) in read_pairs(arguments.figures).items():
            taken = measure(prediction, reference, spacing[: prediction.ndim], arguments.rounds)
            ratios = {f"{other} / mednoisy": taken[other] / taken["mednoisy"] for other in ("medpy", "monai")}
            rows.append({"spacing": grid, "pair": name, "voxels": prediction.size} | taken | ratios)
        of_grid = [row for row in rows if row["spacing"] == grid]
        total = {name: sum(row[name] for row in of_grid) for name in PACKAGES}
        ratios = {f"{other} / mednoisy": total[other] / total["mednoisy"] for other in ("medpy", "monai")}
        rows.append({"spacing": grid, "pair": "all", "voxels": sum(row["voxels"] for row in of_grid)} | total | ratios)
    print(markdown_table(rows, list(rows[0])), end="")


if __name__ == "__main__":
    main()
