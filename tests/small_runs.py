"""Phantoms and settings with which a whole run takes seconds."""

from __future__ import annotations

from pathlib import Path

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
SMALL_ARGUMENTS = [word for key, value in SMALL.items() if key != "device" for word in ("--set", f"{key}={value}")]


def small_dataset(folder: Path) -> Path:
    """A prepared dataset of two labeled, two unlabeled and two test phantoms; the folder itself."""
    make_dataset(folder, labeled=2, unlabeled=2, test=2)
    return folder


def train_arguments(data: Path, output: Path, *more: str) -> list[str]:
    """Arguments of `mednoisy` for a run of two steps on a CPU."""
    where = ["train", "phantom", "--data", str(data), "--output", str(output), "--device", "cpu"]
    return [*where, "--steps", "2", *SMALL_ARGUMENTS, *more]
