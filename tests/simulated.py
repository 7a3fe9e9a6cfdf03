"""A small dataset with labels of known size, and trainings that end at once with a Dice that can be worked out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mednoisy.data.datalist import Datalist
from mednoisy.data.images import write_nifti
from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.summary_file import CheckpointFigures, RunSummary, write_summary

PATIENTS, SCANS = 6, 2  # of the pool
AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])  # slices along the last axis
STEP = 0.05  # what a labeled patient is worth


def patients_dataset(folder: Path) -> Path:
    """Six patients with two scans each, three labeled and three hidden, and one of validation and test; the folder.

    Scan s (from 0) of patient p (from 1) shows p + s voxels of class 1, each in a slice of its own, and one voxel of
    class 2 beside the first.
    """
    sections: dict[str, list[dict[str, str]]] = {
        section: [] for section in ("labeled", "unlabeled", "hidden", "validation", "test")
    }
    places = [f"p{number}" for number in range(1, PATIENTS + 1)] + ["v", "t"]
    for number, patient in enumerate(places, 1):
        for scan in range(SCANS):
            name = f"{patient}_{scan}"
            label = np.zeros((3, 3, 9), np.uint8)
            label[0, 0, : number + scan] = 1
            label[1, 1, 0] = 2
            write_nifti(folder / f"{name}.nii.gz", label.astype(np.float32) + 0.5, AFFINE)
            write_nifti(folder / f"{name}_label.nii.gz", label, AFFINE)
            entry = {"id": name, "image": f"{name}.nii.gz", "patient": patient}
            hidden = {"id": name, "label": f"{name}_label.nii.gz"}
            if patient in ("v", "t"):
                sections["validation" if patient == "v" else "test"].append(entry | hidden)
            elif number <= PATIENTS // 2:
                sections["labeled"].append(entry | hidden)
            else:
                sections["unlabeled"].append(entry)
                sections["hidden"].append(hidden)
    content = {"name": "small", "channels": {"0": "x"}, "labels": {"0": "background", "1": "a", "2": "b"}, **sections}
    (folder / "datalist.json").write_text(json.dumps({"spacing_unit": "mm", **content}))
    return folder


def dice_of(labeled: int, seed: int) -> float:
    """What a fake training reaches."""
    return 0.5 + STEP * labeled + 0.002 * seed


def write_run(run: Path, dice: float | None) -> None:
    """A finished run of one predictor."""
    value = math.nan if dice is None else dice
    known = MetricFigures(None if dice is None else value, None, None, None, None, 2, 0 if dice is not None else 2)
    distance = MetricFigures(4.0, None, None, None, None, 2, 1, 2, 5.0)
    figures = PredictorFigures({1: {"dice": known, "hd95": distance}}, {"dice": known, "hd95": distance}, 2)
    facts = {"method": "supervised", "seconds": 60.0, "processor_seconds": 90.0}
    checkpoint = CheckpointFigures(2, {"student": figures})
    write_summary(run, RunSummary(facts, {1: "a"}, "student", "final", {"final": checkpoint}, 0, ()))
    (run / "report.html").write_text("finished")


class FakeTrainings:
    """In the place of `child_processes.finish`: notes each command and ends it at once.

    Args:
        dice: of a number of labeled patients and a seed; None for an undefined one.

    Attributes:
        commands: what was called.
        fails: whether a command of this text ends with exit code 2.
    """

    def __init__(self, dice: Callable[[int, int], float | None] = dice_of):
        self.dice, self.commands = dice, list[list[str]]()
        self.fails: Callable[[str], bool] = lambda command: False

    def __call__(self, command: list[str], threads: int | None) -> tuple[int, bool]:
        self.commands.append(command)
        run = Path(command[command.index("--output" if "--output" in command else "--resume") + 1])
        if self.fails(" ".join(command)):
            return 2, False
        datalist = Datalist.load(run.parent / "data" / "datalist.json")
        seed = int(next(part for part in run.parts if "-seed" in part).rpartition("seed")[2])
        labeled = len(datalist.patients("labeled"))
        assert "--labeled" not in command or command[command.index("--labeled") + 1] == str(labeled)
        run.mkdir(parents=True, exist_ok=True)
        write_run(run, self.dice(labeled, seed))
        return 0, False
