"""Phantoms and settings with which a whole run takes seconds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mednoisy.data.phantoms import make_dataset

SMALL = {
    "patch_size": [16, 16, 16],
    "stride": [16, 16, 16],
    "coarse_stride": [16, 16, 16],
    "width": 2,
    "batch_size": 2,
    "val_interval": 2,
    "device": "$torch.device('cpu')",
}
SMALL_2D = SMALL | {"patch_size": [32, 32], "stride": [32, 32], "coarse_stride": [32, 32]}
SMALL_PICTURES = SMALL_2D | {"network_def": "%unet_def"}
SMALL_ATRIUM = SMALL | {key: [32, 32, 16] for key in ("patch_size", "stride", "coarse_stride")}  # five levels
SMALL_PANCREAS = SMALL_ATRIUM | {"spacing": [2.5, 2.5, 2.5]}  # the phantoms' own
SMALL_OF = {
    "acdc": SMALL_2D,
    "body_skin": SMALL_PICTURES,
    "dermoscopy": SMALL_PICTURES,
    "left_atrium": SMALL_ATRIUM,
    "pancreas": SMALL_PANCREAS,
    "polyp": SMALL_PICTURES,
}
KIND_OF = {
    "acdc": "heart",
    "body_skin": "body",
    "dermoscopy": "lesion",
    "polyp": "polyp",
}  # of phantoms; other bundles: atrium


def small(bundle: str) -> dict[str, Any]:
    """Settings for a bundle."""
    return SMALL_OF.get(bundle, SMALL)


def as_arguments(settings: dict[str, Any], without: Collection[str] = ()) -> list[str]:
    """Settings as `--set ID=VALUE`, but for some; the device has an option of its own."""
    left_out = {"device", *without}
    return [word for key, value in settings.items() if key not in left_out for word in ("--set", f"{key}={value}")]


SMALL_ARGUMENTS = as_arguments(SMALL)


def small_dataset(folder: Path, bundle: str = "phantom") -> Path:
    """A prepared dataset of two labeled, two unlabeled and two test phantoms for a bundle; the folder itself."""
    make_dataset(folder, KIND_OF.get(bundle, "atrium"), labeled=2, unlabeled=2, test=2)
    return folder


def train_arguments(
    data: Path, output: Path, *more: str, bundle: str = "phantom", without: Collection[str] = ()
) -> list[str]:
    """Arguments of `mednoisy` for a run of two steps on a CPU; `without`: settings that have no use there."""
    where = ["train", bundle, "--data", str(data), "--output", str(output), "--device", "cpu"]
    return [*where, "--steps", "2", "--labeled", "2", "--validation", "0", *as_arguments(small(bundle), without), *more]
