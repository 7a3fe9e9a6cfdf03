"""Rounds of pseudo-labels small enough for seconds: balls in noise on disk, and a teacher whose answers are planted."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from torch import Tensor, nn

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import write_nifti
from mednoisy.data.load_case import LoadCased
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines.noisy_student_rounds import noisy_rounds
from mednoisy.engines.pseudo_labels import PseudoLabels, Teacher
from mednoisy.engines.stages import Stage
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.supervised import Supervised
from mednoisy.pseudo.selection_rules import SelectionRules
from tests.engines.small import PATCH, small_network, small_trainer

SHAPE = (11, 10, 9)
SURE, UNSURE, OUTSIDE = math.log(4), math.log(1.5), -math.log(1.5)  # logits: .8 and .6 inside, .6 outside
ADAM = partial(torch.optim.Adam, lr=0.01)
PREPROCESSING = Compose([LoadCased(codes=(0, 1))])
LABELS = {0: "background", 1: "ball"}


class AsSeen(nn.Module):
    """The image is the logit of class 1, times a weight."""

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(image), self.weight * image], dim=1)


def planted(weight: float = 1.0, **options: Any) -> Teacher:
    settings = {"preprocessing": PREPROCESSING, "inferer": SlidingWindow(PATCH, (4, 4, 4)), "labels": LABELS} | options
    return Teacher("runs/before", "student", AsSeen(weight), 70, **settings)


def boxes(*planted: tuple[tuple[slice | int, ...], float]) -> np.ndarray:
    """An image that `AsSeen` takes for boxes of the given logits."""
    image = np.full(SHAPE, OUTSIDE, np.float32)
    for box, logit in planted:
        image[box] = logit
    return image


def ball(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright ball, and the ball."""
    generator = np.random.default_rng(number)
    centre = generator.uniform(3, 6, size=3).reshape(3, 1, 1, 1)
    inside = ((np.indices(SHAPE) - centre) ** 2).sum(axis=0) < 10
    return (generator.normal(size=SHAPE) + 2 * inside).astype(np.float32), inside.astype(np.uint8)


def on_disk(folder: Path, unlabeled: dict[str, tuple[np.ndarray, np.ndarray | None]] | None = None) -> Datalist:
    """Four labeled balls, and the unlabeled images given with their hidden references: five balls by default."""
    unlabeled = {f"u{number}": ball(50 + number) for number in range(5)} if unlabeled is None else unlabeled
    cases = {f"p{number}": ball(number) for number in range(4)} | unlabeled
    entries: dict[str, dict[str, str]] = {}
    for name, (image, label) in cases.items():
        entries[name] = {"id": name, "image": str(folder / f"{name}.nii.gz")}
        write_nifti(entries[name]["image"], image, np.diag([1.0, 2.0, 3.0, 1.0]))
        if label is not None:
            entries[name]["label"] = str(folder / f"{name}_label.nii.gz")
            write_nifti(entries[name]["label"], label, np.diag([1.0, 2.0, 3.0, 1.0]))
    sections = {
        "labeled": [entries[name] for name in list(cases)[:4]],
        "unlabeled": [{"id": name, "image": entries[name]["image"]} for name in unlabeled],
        "hidden": [{"id": n, "label": entries[n]["label"]} for n in unlabeled if "label" in entries[n]],
    }
    path = Datalist("balls", {0: "noise"}, LABELS, sections).save(folder / "datalist.json")
    return Datalist.load(path)


def pseudo_labels(**options: Any) -> PseudoLabels:
    """Every label is kept unless rules are given."""
    settings = {"rules": SelectionRules(minimum_area=0.0)} | options
    return PseudoLabels(PREPROCESSING, SlidingWindow(PATCH, (4, 4, 4)), **settings)


def noisy_stages(rounds: int = 2, pseudo: PseudoLabels | None = None, **options: Any) -> list[Stage]:
    return noisy_rounds(rounds, small_network(1), Supervised, ADAM, 2, pseudo or pseudo_labels(), **options)


def noisy_trainer(folder: Path, stages: list[Stage], datalist: Datalist, **options: Any) -> SemiSupervisedTrainer:
    """As `small_trainer`, on the cases of a datalist."""
    drawn = datalist.cases("unlabeled") if any(stage.unlabeled for stage in stages) else []
    labeled, unlabeled = CachedCases(datalist.cases("labeled"), PREPROCESSING), CachedCases(drawn, PREPROCESSING)
    stream = TrainingStream(labeled, unlabeled, PATCH)
    return small_trainer(folder, stages, stream=stream, datalist=datalist, **options)


def noisy_run(folder: Path, stages: list[Stage], datalist: Datalist, **options: Any) -> SemiSupervisedTrainer:
    trainer = noisy_trainer(folder, stages, datalist, **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()
    return trainer


def round_files(folder: Path) -> dict[str, bytes]:
    """What the rounds of a run hold."""
    rounds = folder / "rounds"
    return {str(path.relative_to(rounds)): path.read_bytes() for path in sorted(rounds.rglob("*")) if path.is_file()}
