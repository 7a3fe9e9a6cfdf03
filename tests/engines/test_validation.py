"""Checkpoints are chosen by one pass that scores all predictors."""

from __future__ import annotations

import csv
import math
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.engines import checkpoint
from mednoisy.engines.stages import Stage
from mednoisy.engines.validation import ValidateStages, Validator
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.method import Method, Step, Terms
from mednoisy.networks.ensemble import MeanEnsemble
from tests.engines.small import PATCH, sdcl_stages, small_cases, small_trainer, small_validator


class Counting(nn.Module):
    """Logits from a threshold on the image; counts windows and whether they came in training mode."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold, self.windows, self.trained = threshold, 0, False

    def forward(self, images: Tensor) -> Tensor:
        self.windows += len(images)
        self.trained |= self.training
        return torch.cat([torch.full_like(images, self.threshold), images], dim=1)


def window() -> SlidingWindow:
    return SlidingWindow(PATCH, PATCH, batch_size=3)


def test_one_pass_scores_both_students_and_their_mean():
    a, b = Counting(1.0), Counting(0.5)
    cases = small_cases(90, 2, True)
    scores = Validator("cpu", cases, window(), 2).scores({"mean": MeanEnsemble([a, b]), "a": a, "b": b}, nullcontext())
    windows = 2 * math.prod(-(-size // side) for size, side in zip((11, 10, 9), PATCH, strict=True))
    assert a.windows == b.windows == windows
    assert not a.trained
    assert a.training  # as it was before
    for name, threshold in (("a", 1.0), ("b", 0.5)):
        pairs = [((case["image"][0] > threshold).numpy(), case["label"].numpy()) for case in cases]
        wanted = [dice_by_class(*pair, [1])[0] for pair in pairs]
        assert scores["validation"][name] == pytest.approx(np.mean(wanted))
    assert set(scores) == {"validation"}


def test_sections_are_scored_apart_and_the_teacher_labels_the_unlabeled():
    validator = Validator(
        "cpu", small_cases(90, 1, True), window(), 2, test=small_cases(80, 2, True), monitored=small_cases(70, 1, True)
    )
    networks = {"a": Counting(1.0), "teacher": Counting(0.5)}
    scores = validator.scores(networks, nullcontext())
    assert {section: set(values) for section, values in scores.items()} == {
        "validation": {"a", "teacher"},
        "test": {"a", "teacher"},
        "unlabeled": {"teacher"},
    }
    assert networks["a"].windows == 3 * 8
    assert set(validator.scores(networks, nullcontext(), ("unlabeled",))["unlabeled"]) == {"teacher"}
    assert networks["a"].windows == 3 * 8


def test_no_cases_no_scores(caplog):
    validator = Validator("cpu", small_cases(0, 0, True), window(), 2)
    caplog.clear()
    assert validator.scores({"a": Counting(0.5)}, nullcontext()) == {}
    assert not caplog.records  # MONAI warns of each engine without data


class Drifting(Method):
    """Two students whose weight is the step; nothing is learned from the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.students = nn.ModuleDict({"a": nn.Conv3d(1, 2, 1), "b": nn.Conv3d(1, 2, 1)})

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        return {name: Terms(size=(1.0, s(batch.labeled).mean())) for name, s in self.students.items()}

    def predictors(self) -> dict[str, nn.Module]:
        return dict(self.students)


class Answering(Validator):
    """A validator that answers from a table instead of looking."""

    def __init__(self, answers: list[dict[str, dict[str, float]]]) -> None:
        super().__init__("cpu", small_cases(90, 0, True), window(), 2)
        self.answers, self.asked = answers, []

    def scores(self, predictors: Any, autocast: Any, sections: Any = ()) -> Any:
        self.asked.append(sections)
        return {section: values for section, values in self.answers.pop(0).items() if section in sections}


def run(folder: Path, answers: list[dict], stages: int = 1, steps: int = 6) -> Answering:
    method = Drifting()
    made = [Stage(f"s{n}", lambda: method, 1, partial(torch.optim.SGD, lr=0.1), labeled=2) for n in range(stages)]
    validator = Answering(answers)
    trainer = small_trainer(folder, made, steps, validate_every=None, handlers=[ValidateStages(validator, 2)])
    trainer.run()
    trainer.run_folder.close()
    return validator


def best(folder: Path) -> dict[str, tuple[int, float]]:
    contents = {path.stem: checkpoint.load(path) for path in (folder / "checkpoints").glob("best_*.pt")}
    return {name: (content["step"], content["value"]) for name, content in contents.items()}


def test_the_best_of_the_deployed_predictor_is_kept_and_nan_never_is(tmp_path):
    values = [(math.nan, 0.9), (0.5, 0.8), (0.4, 0.95)]
    run(tmp_path / "run", [{"validation": {"a": a, "b": b}} for a, b in values])
    assert best(tmp_path / "run") == {"best_honest": (4, 0.5)}


def test_level_scores_keep_the_earlier_checkpoint(tmp_path):
    run(tmp_path / "run", [{"validation": {"a": 0.5}}] * 3)
    assert best(tmp_path / "run") == {"best_honest": (2, 0.5)}


def test_published_selection_keeps_the_best_of_each_predictor(tmp_path):
    values = [(0.1, 0.7, 0.2), (0.3, 0.6, 0.8), (0.2, 0.9, 0.4)]
    answers = [{"validation": {"a": v, "b": 0.0}, "test": {"a": a, "b": b}} for v, a, b in values]
    run(tmp_path / "run", answers)
    assert best(tmp_path / "run") == {
        "best_honest": (4, 0.3),
        "best_published_a": (6, 0.9),
        "best_published_b": (4, 0.8),
    }


def test_each_stage_has_its_own_best_and_only_the_last_looks_at_test_cases(tmp_path):
    answers = [{"validation": {"a": v}, "test": {"a": 0.5}} for v in (0.9, 0.8, 0.2, 0.4)]
    validator = run(tmp_path / "run", answers, stages=2, steps=6)  # at 2 and 3 of each stage
    assert best(tmp_path / "run") == {"best_s0": (2, 0.9), "best_honest": (6, 0.4), "best_published_a": (5, 0.5)}
    assert ["test" in sections for sections in validator.asked] == [False, False, True, True]


def test_the_next_stage_starts_from_the_best_of_the_stage_before(tmp_path):
    seen: dict[int, Tensor] = {}

    class Watched(Drifting):
        def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
            seen[len(seen) + 1] = self.students["a"].weight.detach().clone()  # before step 1, 2, ...
            return super().losses(batch, step)

    method = Watched()
    stages = [Stage(f"s{n}", lambda: method, 1, partial(torch.optim.SGD, lr=0.1), labeled=2) for n in range(2)]
    validator = Answering([{"validation": {"a": v}} for v in (0.9, 0.8, 0.2, 0.4)])
    trainer = small_trainer(tmp_path / "run", stages, 8, validate_every=None, handlers=[ValidateStages(validator, 2)])
    trainer.run()
    trainer.run_folder.close()
    assert torch.equal(seen[5], seen[3])  # after step 2, the best, not after step 4
    assert "stage s0 hands over step 2, its best" in (tmp_path / "run" / "log.txt").read_text()


def test_figures_go_to_the_row_of_their_step(tmp_path):
    monitored = small_validator(monitored=small_cases(70, 1, True))
    handlers = [ValidateStages(monitored, 3)]
    trainer = small_trainer(tmp_path / "run", sdcl_stages(), 8, validate_every=None, handlers=handlers)
    trainer.run()
    trainer.run_folder.close()
    with open(tmp_path / "run" / "progress.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["stage"]) for row in rows] == [
        ("3", "pretraining"),
        ("4", "pretraining"),
        ("7", "selftraining"),
        ("8", "selftraining"),
    ]
    assert all(row["val_dice_mean"] for row in rows)
    assert rows[0]["pseudo_label_dice_mean"]  # no teacher yet: the first predictor
    assert rows[3]["pseudo_label_dice_teacher"]
    assert rows[3]["a/disagreement"]
    assert float(rows[3]["waiting_share"]) > 0
