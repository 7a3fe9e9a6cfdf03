"""The cases that a page shows: best, median and worst, as pictures and in a slice viewer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mednoisy.errors import UserError
from mednoisy.evaluation.statistics import case_values
from mednoisy.report.number_format import number
from mednoisy.report.pictures.case_arrays import PLANES, CaseArrays, read_case
from mednoisy.report.pictures.case_pictures import plane_pictures
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
        read = {run.name: _case_of(run, case) for run in runs}
        arrays = with_images({name: of_run for name, of_run in read.items() if isinstance(of_run, CaseArrays)})
        comparable, other = _on_one_reference(arrays)
        shown.append(
            {
                "rank": rank,
                "case": case,
                "mean": number(mean, "dice"),
                "strips": [
                    {
                        "run": run.name,
                        "dice": number(dice[run.name][case], "dice"),
                        "hd95": number(hd95[run.name][case], "hd95"),
                        **_strip(arrays.get(run.name, read[run.name]), f"{case}, {run.name}", len(runs), list(classes)),
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


def _case_of(run: Run, case: str) -> CaseArrays | str:
    """A case as a run has it, or why it cannot be shown: figures do not depend on it any more."""
    files = {part: path for part, path in run.files_of(case).items() if path.exists()}
    absent = [part for part in ("reference", "prediction") if part not in files]
    if absent:
        return f"the {' and '.join(absent)} could not be found."
    try:
        return read_case(files, case, run.codes, run.mapping, run.ignored, run.folder_greys, run.stored)
    except UserError as fault:
        return str(fault)


def with_images(cases: Mapping[str, CaseArrays]) -> dict[str, CaseArrays]:
    """The same; a case without image has that of the first run with the same reference and an image."""
    completed = {}
    for name, case in cases.items():
        givers = (other for other in cases.values() if other.image is not None)
        giver = next((other for other in givers if np.array_equal(other.reference, case.reference)), None)
        if giver and case.image is None:
            case = replace(case, image=giver.image, note="", oriented=case.oriented and giver.oriented)
        completed[name] = case
    return completed


def _strip(case: CaseArrays | str, name: str, runs: int, codes: Iterable[int]) -> dict:
    """Pictures of a case as one run has it, or why there are none."""
    if isinstance(case, str):
        return {"pictures": [], "why_not": case, "image": False, "note": ""}
    planes = tuple(PLANES) if runs <= MOST_SIDE_BY_SIDE else ("axial",)
    return {
        "pictures": plane_pictures(case, name, WIDTH, list(codes), planes),
        "why_not": "",
        "image": case.image is not None,
        "note": case.note,
    }


def _on_one_reference(cases: Mapping[str, CaseArrays]) -> tuple[dict[str, CaseArrays], list[str]]:
    """Runs whose case has the reference of the first one, and the names of the others."""
    first = next(iter(cases.values()), None)
    same = {
        name: case
        for name, case in cases.items()
        if first is not None and np.array_equal(case.reference, first.reference)
    }
    return same, [name for name in cases if name not in same]
