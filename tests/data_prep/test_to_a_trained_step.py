"""Every raw layout from the archive's or the user's own files to a trained step, by the commands a user types.

The pancreas, whose predictions are looked at as well, is in test_pancreas.py.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.report import run_page
from tests.data_prep import published_miniatures as published
from tests.data_prep.own_miniatures import OWN
from tests.data_prep.test_picture_sets import SETS
from tests.small_runs import train_arguments

TRAINED_ON: dict[str, tuple[str, str, Callable[[Path], None], list[str]]] = {  # dataset, bundle, layout, words
    "acdc as published": ("acdc", "acdc", published.acdc_published, []),
    "acdc in two folders": ("acdc", "acdc", published.acdc_flat, []),
    "atria": ("left_atrium", "left_atrium", published.atria, ["--spacing", "1.25"]),
    "atria as HDF5": ("left_atrium", "left_atrium", published.atria_hdf5, []),
    "isic2017": ("dermoscopy", "dermoscopy", published.isic2017, []),
    "lesions with a split": ("dermoscopy", "dermoscopy", published.split_pictures, []),
    "polyps with a split": ("polyp", "polyp", published.split_pictures, []),
    "pranet": ("polyp", "polyp", published.pranet, []),
} | {
    name: (
        name,
        "dermoscopy" if name in ("isic2018", "ph2") else "polyp",
        write,
        ["--allow-missing", *(["--section", "train"] if "labeled" not in sections else [])],
    )
    for name, (write, sections, _) in SETS.items()
}


@pytest.fixture(autouse=True)
def without_page(monkeypatch) -> None:
    """Of runs, whose pages others look at: half of the time of so short a run."""
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)


def check_trained(run: Path) -> None:
    """The step's loss is a number, and the run is finished."""
    with open(run / "progress.csv", newline="", encoding="utf-8") as stream:
        (step,) = csv.DictReader(stream)
    assert math.isfinite(float(step["student/dice"]) + float(step["student/ce"]))
    assert json.loads((run / "summary.json").read_text(encoding="utf-8"))["run"]["steps"] == int(step["step"]) == 1


@pytest.mark.parametrize("layout", TRAINED_ON)
def test_a_published_archive(layout, tmp_path):
    dataset, bundle, write, words = TRAINED_ON[layout]
    data, run = tmp_path / "data", tmp_path / "run"
    write(tmp_path / "raw")
    assert main(["prepare", dataset, str(tmp_path / "raw"), str(data), *words]) == 0
    labeled = "1" if layout == "isic2017" else "2"
    more = ["--method", "supervised", "--steps", "1", "--labeled", labeled, "--set", "batch_size=1"]
    assert main(train_arguments(data, run, *more, bundle=bundle)) == 0
    check_trained(run)


@pytest.mark.parametrize("layout", OWN)
def test_files_of_ones_own(layout, tmp_path, monkeypatch):
    """With the networks and the patch that the bundle chose for them, but for their width."""
    write, words = OWN[layout]
    monkeypatch.chdir(tmp_path)
    write()
    assert main(["prepare", "own", *words, "--output", "mine"]) == 0
    more = ["--method", "supervised", "--steps", "1", "--device", "cpu", "--set", "width=2"]
    assert main(["train", "mine", "--output", "run", *more]) == 0
    check_trained(Path("run"))
