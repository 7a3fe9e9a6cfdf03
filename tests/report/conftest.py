"""Folders of finished runs, fabricated: ellipsoids predicted with errors of a known size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from mednoisy.data.images import write_nifti, write_picture
from mednoisy.evaluation.metrics import case_metrics, write_metrics

COLUMNS = ("case", "class", "dice", "jaccard", "hd95", "asd")
AFFINE = np.diag([1.0, 1.2, 1.5, 1.0])


def ellipsoid(shape: tuple[int, ...], radius: float) -> np.ndarray:
    """A body in the middle, `radius` as a share of the shape along the first axis, longer along the others."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return sum((axis / (radius * (1 + 0.2 * number))) ** 2 for number, axis in enumerate(axes)) < 1


class FinishedRun:
    """Writes the folder of a finished run.

    Args:
        folder: of the run.
        shifts: case id to how far the prediction misses, in voxels; None predicts nothing.
        centres: case id to where the case comes from, of those that say so.
        origins: case id to further entries of the case in `summary.json`: patient, scene, diagonal.
        flat: whether cases are pictures in colour instead of volumes.
    """

    def __init__(
        self, folder: Path, shifts: dict[str, float | None], flat: bool = False,
        centres: Mapping[str, str] = MappingProxyType({}),
        origins: Mapping[str, Mapping[str, object]] = MappingProxyType({}), **facts: object,
    ):  # fmt: skip
        self.folder, self.shifts, self.flat = folder, shifts, flat
        self.centres, self.origins = centres, origins
        self.spacing = (1.0, 1.0) if flat else (1.0, 1.2, 1.5)
        self.entries: list[dict] = []
        scores = []
        for number, (case, shift) in enumerate(shifts.items()):
            reference = ellipsoid((60, 80) if flat else (40, 48, 32), 0.35 + 0.02 * number)
            self.save(case, number, reference, self.predicted(reference, shift))
            for checkpoint in ("honest", "final"):
                for predictor, worse in (("mean", 0), ("a", 1), ("b", 2)):
                    prediction = self.predicted(reference, None if shift is None else shift + worse)
                    for code, values in case_metrics(prediction, reference, self.spacing, [1]).items():
                        scores.append(
                            {"checkpoint": checkpoint, "predictor": predictor, "case": case, "class": code, **values}
                        )
        deployed = [row for row in scores if (row["checkpoint"], row["predictor"]) == ("honest", "mean")]
        write_metrics(folder / "metrics.csv", deployed, COLUMNS)
        write_metrics(folder / "scores.csv", scores, ("checkpoint", "predictor", *COLUMNS))
        self.summarise(facts)
        self.train()

    def predicted(self, reference: np.ndarray, shift: float | None) -> np.ndarray:
        return np.zeros_like(reference) if shift is None else np.roll(reference, round(shift), axis=0)

    def save(self, case: str, number: int, reference: np.ndarray, prediction: np.ndarray) -> None:
        noise = np.random.Generator(np.random.PCG64(number)).normal(0, 0.12, reference.shape)
        image = 0.35 + 0.3 * reference + noise
        suffix = ".png" if self.flat else ".nii.gz"
        parts = {"reference": reference, "prediction": prediction}
        entry = {"id": case, "image": f"images/{number}{suffix}", **self.origins.get(case, {})}
        if case in self.centres:
            entry["centre"] = self.centres[case]
        for part, mask in parts.items():
            entry[part] = f"{part}s/{number}{suffix}"
            path = self.folder / entry[part]
            if self.flat:
                write_picture(path, mask)
            else:
                write_nifti(path, mask.astype(np.uint8), AFFINE)
        if self.flat:
            colours = np.clip(255 * np.stack([image + 0.2, image, image * 0.8], axis=-1), 0, 255).astype(np.uint8)
            write_picture(self.folder / entry["image"], colours)
        else:
            write_nifti(self.folder / entry["image"], image, AFFINE)
        self.entries.append(entry)

    def summarise(self, facts: dict) -> None:
        summary = {
            "schema": 1,
            "run": {
                "dataset": "Ellipsoids", "method": "sdcl", "recipe": "published", "labeled": 2, "unlabeled": 16,
                "validation": 2, "test": len(self.shifts), "seed": 0, "steps": 500,
                "seconds": 83.4, "processor_seconds": 160.2,
                "spacing": list(self.spacing), "protocol": "full field of view, distances in mm",
            } | facts,
            "labels": {"1": "atrium"},
            "deployed": "mean",
            "checkpoints": {"honest": {"step": 400}, "final": {"step": 500}},
            "undefined": 0,
            "cases": self.entries,
            "versions": {"mednoisy": "0.1", "torch": "2.13.0"},
        }  # fmt: skip
        (self.folder / "summary.json").write_text(json.dumps(summary))

    def train(self) -> None:
        lines = ["step,stage,seconds,learning_rate,a/dice_ce,b/dice_ce,val_dice_mean,val_dice_a,val_dice_b"]
        for step in range(10, 501, 10):
            dice = [f"{0.9 - 0.5 * 0.99**step - worse:.3f}" if step % 50 == 0 else "" for worse in (0, 0.02, 0.05)]
            stage = "pretrain" if step <= 110 else "self_train"
            lines.append(
                f"{step},{stage},{step / 6:.1f},0.001,{0.98**step + 0.1:.4f},{0.985**step + 0.1:.4f},{','.join(dice)}"
            )
        (self.folder / "progress.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def finished_run(tmp_path: Path) -> Callable[..., Path]:
    """Call it with a name, shifts and facts to get the folder of a finished run."""

    def make(name: str, shifts: dict[str, float | None], **options: object) -> Path:
        (tmp_path / name).mkdir()
        return FinishedRun(tmp_path / name, shifts, **options).folder

    return make


class LabeledRound:
    """Writes the folder of a round of pseudo-labels: discs whose border the teacher doubts.

    Args:
        folder: of the round.
        cases: id to confidence (the mean of its map) and, where a rule dropped it, the rule's name.
        axes: 2 for pictures in colour, 3 for volumes.
        hidden: whether there are references: the mask itself, so that Dice is 1.
        classes: foreground classes; the mask has the last of them.
        facts: entries of `round.json`.
    """

    def __init__(
        self, folder: Path, cases: dict[str, tuple[float, str]], axes: int = 2, hidden: bool = False,
        classes: int = 1, **facts: object,
    ):  # fmt: skip
        self.folder, self.axes, self.classes = folder, axes, classes
        sections: dict[str, list] = {"pseudo": [], "unlabeled": [], "hidden": []}
        rows = []
        for number, (case, (confidence, reason)) in enumerate(cases.items()):
            entry = self.save(case, number, confidence)
            mask = entry["label"]
            if hidden:
                sections["hidden"].append({"id": case, "label": mask})
            sections["unlabeled" if reason else "pseudo"].append(
                {"id": case, "image": entry["image"]} if reason else entry
            )
            row = {"id": case, "kept": int(not reason), "reason": reason, "confidence": confidence, "area": 0.2}
            rows.append(row | {"dice": 1.0 if hidden else math.nan, "centre": ""})
        content = {"name": "Discs", "labels": {str(code): f"class {code}" for code in range(classes + 1)}}
        content["labels"]["0"] = "background"
        (folder / "datalist.json").write_text(json.dumps(content | sections))
        write_metrics(folder / "cases.csv", rows, tuple(rows[0]))
        kept = [row for row in rows if row["kept"]]
        told = {
            "stage": folder.name, "teacher": "teacher", "teacher_step": 400, "teacher_digest": "0a1b", "predictor": "p",
            "rules": {"minimum_area": 0.0005, "largest_component": False}, "unlabeled": len(rows), "kept": len(kept),
            "share_kept": len(kept) / len(rows), "confidence": 0.75, "area": 0.2,
            "dice": 1.0 if hidden else None, "dice_kept": 0.5 if hidden else None,
        }  # fmt: skip
        (folder / "round.json").write_text(json.dumps(told | facts))

    def save(self, case: str, number: int, confidence: float) -> dict[str, str]:
        shape = (60, 80) if self.axes == 2 else (40, 48, 12)
        body = ellipsoid(shape, 0.4)
        entry = {
            "id": case,
            "image": f"../images/{number}",
            "label": f"masks/{case}",
            "confidence": f"confidence/{case}",
        }
        codes = (self.classes * body).astype(np.uint8)
        image = np.clip(80 + 60 * body, 0, 255).astype(np.uint8)
        maps = {"image": image, "label": codes, "confidence": np.full(shape, round(255 * confidence), np.uint8)}
        for part, array in maps.items():
            entry[part] += ".png" if self.axes == 2 else ".nii.gz"
            path = self.folder / entry[part]
            if self.axes == 3:
                write_nifti(path, array, AFFINE)
            elif part == "image":
                write_picture(path, np.stack([array] * 3, axis=-1))
            else:
                write_picture(path, 255 * array if part == "label" and self.classes == 1 else array)
        return entry


@pytest.fixture
def labeled_round(tmp_path: Path) -> Callable[..., Path]:
    """Call it with a folder below the temporary one, cases and options to get the folder of a round."""

    def make(name: str, cases: dict[str, tuple[float, str]], **options: object) -> Path:
        (tmp_path / name).mkdir(parents=True)
        return LabeledRound(tmp_path / name, cases, **options).folder

    return make
