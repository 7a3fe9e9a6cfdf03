"""Runs on partly labeled cases: the same again after an interruption, chosen and scored by what somebody looked at."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.label_presence import absent_labels
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines.validation import Validator
from mednoisy.errors import UserError
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.inference.sliding_window import SlidingWindow
from tests.engines.small import PATCH, At, assert_same, kept, sdcl_stages, small_cases, small_trainer, supervised_stage


def partly_labeled(first: int, count: int, known: int = 5) -> CachedCases:
    """`small_cases` of which nobody looked at slices from `known` on, of 9."""
    cases = small_cases(first, count, True)
    for item in cases.items:
        item["label"][..., known:] = IGNORED
    return cases


def partly_labeled_stream() -> TrainingStream:
    return TrainingStream(partly_labeled(0, 4), small_cases(50, 6, False), PATCH)


def run(folder: Path, stages: list, **options: Any) -> None:
    trainer = small_trainer(folder, stages, stream=partly_labeled_stream(), **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()


def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    """Through both stages of SDCL."""

    def kill(engine: Any) -> None:
        raise InterruptedError

    run(tmp_path / "whole", sdcl_stages())
    with pytest.raises(InterruptedError):
        run(tmp_path / "killed", sdcl_stages(), handlers=[At(7, kill)])
    run(tmp_path / "killed", sdcl_stages(), resume=True)
    assert_same(kept(tmp_path / "killed"), kept(tmp_path / "whole"))


def test_a_run_goes_on_only_with_the_voxels_that_it_began_with(tmp_path):
    """Where somebody looks at more in the meantime, the label has changed."""
    run(tmp_path / "run", supervised_stage(), steps=3)
    more = TrainingStream(partly_labeled(0, 4, known=6), small_cases(50, 6, False), PATCH)
    trainer = small_trainer(tmp_path / "run", supervised_stage(), steps=3, resume=True, stream=more)
    with pytest.raises(UserError, match="E381 case 'p0': its label has changed"):
        trainer.run()
    trainer.run_folder.close()


class AsSeen(nn.Module):
    """The image is the logit of class 1."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(images), images], dim=1)


def test_checkpoints_are_chosen_by_known_voxels():
    """Dice of the slices that somebody looked at, of validation, test and monitored cases alike."""
    settings = {"test": partly_labeled(80, 2), "monitored": partly_labeled(70, 2)}
    validator = Validator("cpu", partly_labeled(90, 2), SlidingWindow(PATCH, PATCH), 2, **settings)
    scores = validator.scores({"teacher": AsSeen()}, nullcontext())
    for section, first in (("validation", 90), ("test", 80), ("unlabeled", 70)):
        pairs = [
            ((case["image"][0] > 0).numpy()[..., :5], case["label"].numpy()[..., :5])
            for case in small_cases(first, 2, True)
        ]
        assert scores[section]["teacher"] == pytest.approx(np.mean([dice_by_class(*pair, [1])[0] for pair in pairs]))


def test_a_case_of_which_nobody_looked_at_anything_has_no_dice():
    cases = partly_labeled(90, 1, known=0)
    score = Validator("cpu", cases, SlidingWindow(PATCH, PATCH), 2).scores({"a": AsSeen()}, nullcontext())
    assert np.isnan(score["validation"]["a"])


def test_ignored_voxels_are_no_class():
    """They hide no class that is missing, and a label with nothing beside them is told apart from an empty one."""
    names = {0: "background", 1: "ball", IGNORED - 1: "last"}
    cases = partly_labeled(0, 3)
    cases[0]["label"][..., :5] = 0
    cases[1]["label"][:] = IGNORED
    assert absent_labels(cases, names) == [
        "no labeled case holds code 254 (last), so it cannot be learned",
        "every voxel is ignored in 1 labeled cases, which teach nothing: p1",
        "the label is empty throughout in 1 labeled cases: p0",
    ]


def test_nothing_to_learn_from_is_refused(tmp_path):
    stream = TrainingStream(partly_labeled(0, 4, known=0), None, PATCH)
    trainer = small_trainer(tmp_path / "run", supervised_stage(), stream=stream)
    with pytest.raises(UserError, match=r"E249 every voxel of all 4 labeled cases has a code that the"):
        trainer.run()
    trainer.run_folder.close()
    assert not (tmp_path / "run").exists()
