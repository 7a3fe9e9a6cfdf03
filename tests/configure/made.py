"""Fingerprints and machines with known numbers, and datasets small enough to be read in a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np

from mednoisy.configure.fingerprint import Fingerprint
from mednoisy.configure.intensities import Intensities
from mednoisy.configure.machine import Machine, Speed

CPU_SPEEDS = (Speed(16, "fp32", 6.0), Speed(16, "bf16", 4.0), Speed(8, "fp32", 3.0), Speed(8, "bf16", 2.0))
GPU_SPEEDS = (Speed(16, "fp32", 0.06), Speed(16, "bf16", 0.05))
CPU = Machine(2, 24.0, None, CPU_SPEEDS)
WHOLE = Intensities(-1024, -1000, -100, 800, 3000, -200, 400, whole=True)
TISSUE = Intensities(-200, -100, 60, 300, 500, 50, 50, whole=True)
GREY = Intensities(0, 0, 100, 900, 1500, 200, 150, whole=True)


def gpu(memory_gib: float) -> Machine:
    return Machine(16, 128.0, memory_gib, GPU_SPEEDS)


def seen(size, spacing, **known) -> Fingerprint:
    """A fingerprint of four equal images."""
    basis = Fingerprint(
        name="made",
        pictures=False,
        channels=["mri"],
        modality="MR",
        labels=["background", "organ"],
        labeled_cases=4,
        labeled_patients=4,
        unlabeled_cases=6,
        sizes=[list(size)] * 4,
        spacings=[list(spacing)] * 4,
        located=True,
        oriented=True,
        coarsest_last=1.0,
        intensities=GREY,
        foreground=GREY,
        class_shares=[0.1],
        reach=[0.4 * side * step for side, step in zip(size, spacing, strict=True)],
    )
    return replace(basis, **known)


def write_dataset(folder: Path, cases: dict[str, tuple[np.ndarray, np.ndarray | None]], affine=None, **keys) -> Path:
    """NIfTI volumes with and without labels, and their datalist; those called `test...` are of that section."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0]) if affine is None else affine
    content = {"name": "made", "channels": {"0": "scan"}, "labels": {"0": "background", "1": "organ"}, **keys}
    sections: dict[str, list] = {"labeled": [], "unlabeled": [], "test": []}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, label) in cases.items():
        entry = {"id": name, "image": f"{name}.nii.gz"}
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / f"{name}.nii.gz")
        if label is not None:
            nibabel.save(nibabel.Nifti1Image(label, affine), folder / f"{name}-label.nii.gz")
            entry["label"] = f"{name}-label.nii.gz"
        sections["test" if name.startswith("test") else "unlabeled" if label is None else "labeled"].append(entry)
    (folder / "datalist.json").write_text(json.dumps(content | sections), encoding="utf-8")
    return folder
