"""Seeded synthetic datasets: atrium and heart in 3D, skin lesion, polyp and body in colour. No download, no torch.

Contrast, size, shape and branches vary so much between cases that two labeled ones do not cover them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mednoisy.data.atrium_phantom import ATRIUM_SPACING_MM, atrium
from mednoisy.data.body_phantom import BODY_LABELS, BODY_REGIONS, BODY_SIZE, SIZES, UNCERTAIN, body
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.datalist_checks import Regions
from mednoisy.data.heart_phantom import SHORT_AXIS_LABELS, SHORT_AXIS_SPACING_MM, short_axis
from mednoisy.data.images import write_nifti, write_picture
from mednoisy.data.picture_phantoms import lesion, polyp
from mednoisy.errors import UserError, did_you_mean

Array = np.ndarray


def make_dataset(
    folder: Path | str,
    kind: str = "atrium",
    labeled: int = 2,
    unlabeled: int = 16,
    validation: int = 0,
    test: int = 8,
    seed: int = 0,
    size: int | None = None,
    ignore_uncertain: bool = False,
) -> Path:
    """Write images, labels and `datalist.json` to `folder`; the path of the latter.

    The references of the unlabeled cases are listed as `hidden`. For a study over numbers of labels make all
    training cases labeled and let `Datalist.with_labeled` take them away.

    Args:
        kind: "atrium" (NIfTI, 48x48x32 voxels of 2.5 mm), "heart" (NIfTI, about 84x84x7 voxels of 2x2x10 mm, four
            classes), "lesion" or "polyp" (PNG, 96x96, RGB), "body" (the same, nine classes, regions).
        seed: with the section and the number in it, decides all of a case.
        size: pixels along a side of a body, 96 where it is not given.
        ignore_uncertain: whether what is uncertain of a body is no class, but a code to ignore; files stay the same.

    Raises:
        UserError: E218 an unknown kind; E549 a size that none can have, or nothing uncertain to ignore.
    """
    if kind not in KINDS:
        raise UserError("E218", f"unknown kind of phantom {kind!r}", did_you_mean(kind, KINDS))
    if ignore_uncertain and kind != "body":
        raise UserError("E549", f"nothing is uncertain in a phantom of kind {kind!r}", "Take --kind body")
    folder, make = Path(folder), _sized(kind, size)
    names = LABELS.get(kind, ("background", kind))
    counts = {"labeled": labeled, "unlabeled": unlabeled, "validation": validation, "test": test}
    sections: dict[str, list[Case]] = {section: [] for section in (*counts, "hidden")}
    for section, count in counts.items():
        for number in range(count):
            name = f"{section}_{number:03d}"
            image, label = make(Draw(seed, f"phantom/{kind}/{section}", number).generator())
            one_bit = kind not in SPACING_MM and len(names) == 2
            paths = _write_case(folder, name, image, label > 0 if one_bit else label, SPACING_MM.get(kind))
            if section == "unlabeled":
                sections["hidden"].append({"id": name, "label": paths["label"]})
                del paths["label"]
            sections[section].append({"id": name, **paths})
    channels = {0: "phantom"} if kind in SPACING_MM else {0: "red", 1: "green", 2: "blue"}
    datalist = Datalist(
        name=f"phantom_{kind}",
        channels=channels,
        labels=dict(enumerate(names)),
        regions=BODY_REGIONS if kind == "body" else {},
        sections=sections,
        spacing_unit="mm" if kind in SPACING_MM else "pixel",
        protocol=f"Synthetic, seed {seed}: the figures say nothing about patients.",
    )
    if ignore_uncertain:
        datalist = _without_uncertain(datalist)
    return datalist.save(folder / "datalist.json")


def _without_uncertain(datalist: Datalist) -> Datalist:
    """Bodies of eight classes, whose files hold a ninth code that is ignored."""
    codes = tuple(code for code in datalist.labels if code != UNCERTAIN)
    names = {number: BODY_LABELS[code] for number, code in enumerate(codes)}
    regions: Regions = {
        "eight classes": {name: (number,) for number, name in names.items()},
        "skin or not": {"not skin": (0,), "skin": tuple(names)[1:]},
    }
    return replace(datalist, labels=names, codes=codes, as_source=True, ignore=(UNCERTAIN,), regions=regions)


KINDS: dict[str, Callable[[np.random.Generator], tuple[Array, Array]]]
KINDS = {"atrium": atrium, "heart": short_axis, "lesion": lesion, "polyp": polyp, "body": body}
LABELS = {"heart": SHORT_AXIS_LABELS, "body": BODY_LABELS}
SPACING_MM = {"atrium": (ATRIUM_SPACING_MM,) * 3, "heart": SHORT_AXIS_SPACING_MM}  # others are pictures


def _sized(kind: str, size: int | None) -> Callable[[np.random.Generator], tuple[Array, Array]]:
    """What makes a phantom of a kind, in that many pixels (E549)."""
    if size is None:
        return KINDS[kind]
    if kind != "body":
        raise UserError("E549", f"a phantom of kind {kind!r} has one size", "Drop --size, or take --kind body")
    low, high = SIZES
    if not low <= size <= high:
        cause = f"a body of {size} pixels a side cannot be drawn"
        raise UserError("E549", cause, f"Take a --size from {low} to {high}; {BODY_SIZE} is usual")
    return partial(body, size=size)


def _write_case(
    folder: Path, name: str, image: Array, label: Array, spacing: tuple[float, ...] | None
) -> dict[str, str]:
    suffix = ".nii.gz" if spacing else ".png"
    paths = {part: (folder / f"{part}s" / f"{name}{suffix}").absolute() for part in ("image", "label")}
    if spacing is None:
        write_picture(paths["image"], image)
        write_picture(paths["label"], label)
    else:
        affine = np.diag([*spacing, 1.0])
        write_nifti(paths["image"], image, affine)
        write_nifti(paths["label"], label, affine)
    return {part: str(path) for part, path in paths.items()}


# --- the atrium: signed distances in voxels, negative inside -------------------------------------------------


# --- pictures: lesion and polyp ------------------------------------------------------------------------------
