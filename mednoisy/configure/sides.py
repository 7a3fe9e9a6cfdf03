"""Which mirror images may be shown in training: none that would turn a left label into a right one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mednoisy.configure.fingerprint import Fingerprint

FLIP = "mednoisy.perturb.geometry.Flip"
AFFINE = {"_target_": "mednoisy.perturb.geometry.Affine", "rotation": 0.349, "probability": 0.5}  # 20 degrees


def paired(labels: Sequence[str]) -> tuple[str, str] | None:
    """Two names that differ in left and right alone ("left kidney", "right kidney"); None where there are none."""
    words = {name: re.split(r"[^a-z0-9]+", name.lower()) for name in labels}
    for left, parts in words.items():
        swapped = [{"left": "right", "l": "r"}.get(part, part) for part in parts]
        for right, others in words.items():
            if swapped != parts and swapped == others:
                return left, right
    return None


def flips_for(kind: str, fingerprint: Fingerprint) -> tuple[list[dict[str, Any]] | None, str, str]:
    """The transforms of `train#spatial` (None where the kind's own do), the same in words, and why."""
    pair = paired(fingerprint.labels)
    if pair is None:
        none = "no two classes are left and right of one thing"
        if kind != "volumes":
            return None, "in the plane", none
        return [_flip(axis) for axis in range(3)], "along all axes", none
    names = f"{pair[0]!r} and {pair[1]!r} differ in their side, and a mirror image would swap them"
    reason = f"{names}; where they do not look alike, drop train#spatial#transforms"
    if kind == "volumes" and fingerprint.oriented:
        return [_flip(axis) for axis in (1, 2)], "not from left to right", reason
    return [dict(AFFINE)], "none, rotation instead", reason


def _flip(axis: int) -> dict[str, Any]:
    return {"_target_": FLIP, "axes": [axis], "probability": 0.5}
