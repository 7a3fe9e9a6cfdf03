"""The cases that a page shows: best, median and worst, as pictures and in a slice viewer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mednoisy.errors import UserError
from mednoisy.evaluation.statistics import case_values
from mednoisy.report import sentences as wording
from mednoisy.report.pictures.case_pictures import Volume, load, pictures
from mednoisy.report.pictures.slice_viewer import viewer_data
from mednoisy.report.reading.runs import Run, class_names

MOST_SIDE_BY_SIDE = 3  # with more runs only one plane of each case is shown
WIDTH = 380  # pixels of a picture


def shown_cases(runs: Sequence[Run]) -> list[dict]:
    """Best, median and worst case with what each run made of it, or why that cannot be shown."""
    dice = {run.name: case_values(run.metrics, "dice") for run in runs}
    hd95 = {run.name: case_values(run.metrics, "hd95") for run in runs}
    classes = class_names(runs)
    shown = []
    for rank, (case, mean) in _chosen(list(dice.values())).items():
        found = {run.name: _volume(run, case) for run in runs}
        volumes = _with_images({name: volume for name, volume in found.items() if isinstance(volume, Volume)})
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
                        **_strip(
                            volumes.get(run.name, found[run.name]), f"{case}, {run.name}", len(runs), list(classes)
                        ),
                    }
                    for run in runs
                ],
                "viewer": viewer_data(comparable, classes) if comparable else None,
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


def _volume(run: Run, case: str) -> Volume | str:
    """A case as a run has it, or why it cannot be shown: figures do not depend on it any more."""
    files = {part: path for part, path in run.files_of(case).items() if path.exists()}
    absent = [part for part in ("reference", "prediction") if part not in files]
    if absent:
        return f"the {' and '.join(absent)} could not be found."
    try:
        return load(files, case, run.codes, run.mapping)
    except UserError as fault:
        return str(fault)


def _with_images(volumes: Mapping[str, Volume]) -> dict[str, Volume]:
    """The volumes; those without image have that of the first one with the same reference and an image."""
    completed = {}
    for name, volume in volumes.items():
        givers = (other for other in volumes.values() if other.image is not None)
        giver = next((other for other in givers if np.array_equal(other.reference, volume.reference)), None)
        completed[name] = replace(volume, image=giver.image, note="") if giver and volume.image is None else volume
    return completed


def _strip(volume: Volume | str, name: str, runs: int, codes: Iterable[int]) -> dict:
    """Pictures of a case as one run has it, or why there are none."""
    planes = ("axial", "coronal", "sagittal") if runs <= MOST_SIDE_BY_SIDE else ("axial",)
    if isinstance(volume, str):
        return {"pictures": [], "why_not": volume, "image": False, "note": ""}
    return {
        "pictures": pictures(volume, name, WIDTH, list(codes), planes),
        "why_not": "",
        "image": volume.image is not None,
        "note": volume.note,
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
