"""Pictures of pseudo-labels: the image with the mask's outline, and beside it where the teacher doubted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.errors import UserError
from mednoisy.report.number_format import number, share
from mednoisy.report.pictures.case_arrays import CaseArrays, largest_slice, read_case, slice_of
from mednoisy.report.pictures.case_pictures import EmbeddedPicture, outlined_picture
from mednoisy.report.reading.rounds import LabeledCase

EACH = 3  # cases of a group
WIDTH = 300  # pixels of a picture
SUFFIXES = (".png", ".nii.gz")  # of masks and confidence maps


def shown_labels(
    folder: Path, cases: Sequence[LabeledCase], datalist: Mapping[str, Any], codes: Sequence[int]
) -> list[dict]:
    """Some cases in groups: the least, medium and most confident of the kept ones, and some that were dropped.

    Args:
        folder: of the round.
        cases: all of it.
        datalist: of the round, as its file has it.
        codes: of the classes.
    """
    groups = []
    for name, members in _chosen(cases).items():
        shown = [
            {
                "name": case.name,
                "fate": case.fate,
                "confidence": share(_known(case.figures["confidence"])),
                "dice": "" if math.isnan(case.figures["dice"]) else number(case.figures["dice"], "dice"),
                **_pictured(_files(folder, case.name, datalist), case.name, codes, datalist.get("ignore", ())),
            }
            for case in members
        ]
        groups.append({"name": name, "cases": shown})
    return groups


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _chosen(cases: Sequence[LabeledCase]) -> dict[str, list[LabeledCase]]:
    """Groups that hold anything; no case is in two of them."""
    kept = sorted((case for case in cases if case.kept), key=lambda case: case.figures["confidence"])
    dropped = sorted(
        (case for case in cases if not case.kept), key=lambda case: (case.fate, case.figures["confidence"])
    )
    low, high = kept[:EACH], kept[EACH:][-EACH:]
    between = kept[len(low) : len(kept) - len(high)]
    start = max(0, (len(between) - EACH) // 2)
    groups = {
        "Least confident": low,
        "In the middle": between[start : start + EACH],
        "Most confident": high,
        "Dropped": _spread(dropped, EACH),
    }
    return {name: members for name, members in groups.items() if members}


def _spread(cases: list[LabeledCase], most: int) -> list[LabeledCase]:
    """At most so many, evenly from the first to the last."""
    if len(cases) <= most:
        return cases
    return [cases[round(place * (len(cases) - 1) / (most - 1))] for place in range(most)]


def _files(folder: Path, case: str, datalist: Mapping[str, Any]) -> dict[str, Path]:
    """Paths of a case's image, mask, confidence and hidden reference, as far as they exist."""
    entries = [entry for part in ("pseudo", "unlabeled") for entry in datalist.get(part, []) if entry["id"] == case]
    hidden = [entry for entry in datalist.get("hidden", []) if entry["id"] == case]
    images = [entry["image"] for entry in entries]
    paths = {
        "image": folder / images[0] if images else None,
        "hidden": folder / hidden[0]["label"] if hidden else None,
    }
    for part, place in {"mask": "masks", "confidence": "confidence"}.items():
        candidates = [folder / place / f"{case}{suffix}" for suffix in SUFFIXES]
        paths[part] = next((path for path in candidates if path.is_file()), None)
    return {part: path for part, path in paths.items() if path is not None and path.is_file()}


def _pictured(files: Mapping[str, Path], case: str, codes: Sequence[int], ignored: Sequence[int]) -> dict:
    """The two pictures of a case, or why there are none; `ignored` codes of a hidden reference are left out."""
    absent = [part for part in ("mask", "confidence", "image") if part not in files]
    if absent:
        return {"pictures": [], "why_not": f"no {' and no '.join(absent)} could be found."}
    maps = {"reference": files.get("hidden", files["mask"]), "prediction": files["mask"]}
    left_out = ignored if "hidden" in files else ()  # in place of a reference stands the mask, whose white is a class
    try:
        arrays = read_case(maps | {"image": files["image"]}, case, codes, ignored=left_out)
        confidence = read_case(maps | {"image": files["confidence"]}, case, codes, ignored=left_out).image
    except UserError as fault:
        return {"pictures": [], "why_not": str(fault)}
    if arrays.image is None or confidence is None:
        return {"pictures": [], "why_not": arrays.note or "the confidence map does not fit the mask."}
    if "hidden" not in files:
        arrays = replace(arrays, reference=np.zeros_like(arrays.reference))
    return {"pictures": _both(arrays, confidence, case, codes), "why_not": ""}


def _both(arrays: CaseArrays, confidence: np.ndarray, case: str, codes: Sequence[int]) -> list[EmbeddedPicture]:
    """The image with outlines, and the map of doubt: black where confidence is 1, white where it is 1 of K classes."""
    plane = "picture"
    doubt = replace(arrays, image=(255 - confidence.astype(np.float32)) / (255 - 255 / (len(codes) + 1)))
    if arrays.prediction.ndim == 3:
        plane = "axial"
        number = largest_slice(arrays.prediction, plane)
        arrays, doubt = slice_of(arrays, plane, number), slice_of(doubt, plane, number)
    return [
        outlined_picture(arrays, plane, case, WIDTH, codes),
        outlined_picture(in_colour(doubt), plane, f"{case}, where the teacher doubted", WIDTH, ()),
    ]


def in_colour(flat: CaseArrays) -> CaseArrays:
    """The same with the shades from 0 to 1 as colours, which are shown as they are."""
    shades = np.rint(255 * np.clip(np.asarray(flat.image), 0, 1)).astype(np.uint8)
    return replace(flat, image=np.repeat(shades[..., None], 3, axis=-1))
