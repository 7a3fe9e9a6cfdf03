"""A dataset of bright balls, and `mednoisy train --folds` of it in two steps a fold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from mednoisy.cli import main
from mednoisy.data.images import write_nifti
from tests.small_runs import SMALL_ARGUMENTS

SHAPE, AFFINE = (20, 18, 17), np.diag([1.5, 1.5, 2.0, 1.0])
LABELED = {"a1": "a", "b1": "b", "b2": "b", "c1": "c"}  # case to patient


def write_case(folder: Path, name: str, number: int) -> dict[str, str]:
    """A bright ball in noise and its label; paths relative to the folder."""
    generator = np.random.default_rng(number)
    centre = generator.uniform(6, 12, size=3).reshape(3, 1, 1, 1)
    ball = ((np.indices(SHAPE) - centre) ** 2).sum(axis=0) < 16
    paths = {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz"}
    write_nifti(folder / paths["image"], (generator.normal(size=SHAPE) + 3 * ball).astype(np.float32), AFFINE)
    write_nifti(folder / paths["label"], ball.astype(np.uint8), AFFINE)
    return {"id": name, **paths}


def write_dataset(folder: Path, change=lambda content: None) -> Path:
    """Four labeled scans of three patients, two unlabeled (one of a labeled patient), a test case; the folder."""
    labeled = [{**write_case(folder, name, n), "patient": of} for n, (name, of) in enumerate(LABELED.items())]
    unlabeled = [{**write_case(folder, "b3", 10), "patient": "b"}, write_case(folder, "u1", 11)]
    for entry in unlabeled:
        del entry["label"]
    content = {
        "name": "balls",
        "channels": {"0": "noise"},
        "labels": {"0": "background", "1": "atrium"},
        "labeled": labeled,
        "unlabeled": unlabeled,
        "test": [write_case(folder, "t1", 20)],
    }
    change(content)
    (folder / "datalist.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def arguments(data: Path, output: Path, *more: str, folds: int | None = 2, method: str = "mean_teacher") -> list[str]:
    words = ["train", "phantom", "--data", str(data), "--output", str(output), "--device", "cpu", "--method", method]
    words += ["--steps", "2", "--labeled", "3", "--set", "precision=fp32", *SMALL_ARGUMENTS]
    return [*words, *(["--folds", str(folds)] if folds else []), *more]


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def refusal(capsys, words: list[str], code: int = 2) -> str:
    """The last line on stderr of a command that ends with this code."""
    capsys.readouterr()
    assert main(words) == code
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy:")][-1]
