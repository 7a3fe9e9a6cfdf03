"""The cases that a page shows: best, median and worst, as pictures and in a slice viewer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mednoisy.evaluation.statistics import case_values
from mednoisy.report import wording
from mednoisy.report.pictures import Volume, load, pictures
from mednoisy.report.runs import Run
from mednoisy.report.viewer import viewer_data

MOST_SIDE_BY_SIDE = 3  # with more runs only one plane of each case is shown
WIDTH = 380  # pixels of a picture


def shown_cases(runs: Sequence[Run]) -> list[dict]:
    """Best, median and worst case with what each run made of it.

    Raises:
        UserError: E2xx, E4xx for label maps that are there but cannot be read.
    """
    dice = {run.name: case_values(run.metrics, "dice") for run in runs}
    hd95 = {run.name: case_values(run.metrics, "hd95") for run in runs}
    shown = []
    for rank, (case, mean) in _chosen(list(dice.values())).items():
        files = {run.name: _present(run, case) for run in runs}
        volumes = {
            run.name: load(files[run.name], case, run.codes, run.mapping)
            for run in runs
            if {"reference", "prediction"} <= files[run.name].keys()
        }
        comparable, other = _on_one_reference(volumes)
        shown.append(
            {
                "rank": rank,
                "case": case,
                "mean": wording.number(mean, "dice"),
                "strips": [
                    {
                        "run": run.name,
                        "dice": wording.number(dice[run.name][case], "dice"),
                        "hd95": wording.number(hd95[run.name][case], "hd95"),
                        **_strip(files[run.name], volumes.get(run.name), f"{case}, {run.name}", len(runs)),
                    }
                    for run in runs
                ],
                "viewer": viewer_data(comparable, _classes(runs)) if comparable else None,
                "viewer_runs": list(comparable),
                "other_reference": other,
            }
        )
    return shown


def _chosen(values: Sequence[Mapping[str, float]]) -> dict[str, tuple[str, float]]:
    """Best, median and worst case by the Dice averaged over runs, of those that all runs have."""
    shared = [case for case in values[0] if all(not math.isnan(of.get(case, math.nan)) for of in values)]
    means = sorted(((sum(of[case] for of in values) / len(values), case) for case in shared), reverse=True)
    picked = {"Best": 0, "Median": len(means) // 2, "Worst": len(means) - 1}
    chosen: dict[str, tuple[str, float]] = {}
    for name, place in picked.items():
        if means and means[place][1] not in {case for case, _ in chosen.values()}:
            chosen[name] = (means[place][1], means[place][0])
    return chosen


def _present(run: Run, case: str) -> dict[str, Path]:
    return {part: path for part, path in run.files_of(case).items() if path.exists()}


def _strip(files: Mapping[str, Path], volume: Volume | None, name: str, runs: int) -> dict:
    """Pictures of a case as one run has it, or what is missing for them."""
    planes = ("axial", "coronal", "sagittal") if runs <= MOST_SIDE_BY_SIDE else ("axial",)
    absent = [part for part in ("reference", "prediction") if part not in files]
    return {
        "pictures": [] if volume is None else pictures(volume, name, WIDTH, planes),
        "absent": " and ".join(absent),
        "no_image": "image" not in files,
        "note": "" if volume is None else volume.note,
    }


def _on_one_reference(volumes: Mapping[str, Volume]) -> tuple[dict[str, Volume], list[str]]:
    """Runs whose case has the reference of the first one, and the names of the others."""
    first = next(iter(volumes.values()), None)
    same = {
        name: volume
        for name, volume in volumes.items()
        if first is not None and np.array_equal(volume.reference, first.reference)
    }
    return same, [name for name in volumes if name not in same]


def _classes(runs: Sequence[Run]) -> dict[int, str]:
    return {code: name for run in reversed(runs) for code, name in run.classes.items()}
