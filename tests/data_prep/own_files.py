"""Scans and labels called as people call them, and `mednoisy prepare own` of them through the command line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.load_case import LoadCased

SHAPE = (16, 18, 8)
AFFINE = np.diag([-1.0, -1.0, 2.5, 1.0])


def scan(path: Path, seed: int = 0, affine: np.ndarray = AFFINE, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    array = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return array


def label(path: Path, *codes: float, affine: np.ndarray = AFFINE, kind: type = np.uint8, shape=SHAPE) -> np.ndarray:
    """Boxes of 27 voxels, one a code."""
    array = np.zeros(shape, kind)
    for number, code in enumerate(codes):
        array[1 + 4 * number : 4 + 4 * number, 2:5, 2:5] = code
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return array


def prepared(*arguments: str, code: int = 0, images: str = "scans", labels: str = "masks") -> Datalist:
    where = ["--images", images, *(["--labels", labels] if labels else []), "--output", "mine"]
    assert main(["prepare", "own", *where, *arguments]) == code
    return Datalist.load("mine/datalist.json")


def refused(capsys, *arguments: str, images: str = "scans", labels: str = "masks") -> str:
    """The one line of the refusal; nothing is written."""
    where = ["--images", images, *(["--labels", labels] if labels else []), "--output", "mine"]
    assert main(["prepare", "own", *where, *arguments]) == 2
    assert not Path("mine/datalist.json").exists()
    return capsys.readouterr().err.splitlines()[-1].removeprefix("mednoisy: ")


def ids(datalist: Datalist, section: str) -> list[str]:
    return [case["id"] for case in datalist.cases(section)]


def loaded(datalist: Datalist, section: str = "labeled") -> list[dict]:
    return [LoadCased(codes=datalist.labels)(case) for case in datalist.cases(section)]
