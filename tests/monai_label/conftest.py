"""Folders of small studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mednoisy.data.images import write_nifti
from mednoisy.monai_label.workplace import Settings, Workplace

SHAPE = (8, 9, 10)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SETTINGS = Settings("phantom", ("background", "atrium"), device="cpu")


@pytest.fixture
def place(tmp_path) -> Workplace:
    """Three studies called a, b and c."""
    made = Workplace(tmp_path / "studies")
    for number, name in enumerate("abc"):
        write_image(made, name, number)
    made.keep_settings(SETTINGS)
    return made


@pytest.fixture
def label_file(tmp_path) -> Callable[..., Path]:
    """Writes a label map and gives its path."""

    def write(array: np.ndarray, name: str = "sent.nii.gz", affine: np.ndarray = AFFINE) -> Path:
        write_nifti(tmp_path / "sent" / name, array, affine)
        return tmp_path / "sent" / name

    return write


def write_image(place: Workplace, name: str, seed: int = 0) -> Path:
    """A study of noise."""
    path = place.studies / f"{name}.nii.gz"
    write_nifti(path, np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32), AFFINE)
    return path


def box(value: int = 1) -> np.ndarray:
    """A label map: a box of 27 voxels."""
    array = np.zeros(SHAPE, np.uint8)
    array[2:5, 2:5, 2:5] = value
    return array
