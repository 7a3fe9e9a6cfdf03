"""The recipe `published` from configs to figures: what the papers' code did, and that reporting stays reporting."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from mednoisy.composition import compose
from mednoisy.data.batch import Batch
from mednoisy.data.phantoms import make_dataset
from mednoisy.data.training_stream import ListedPairs, TrainingStream, shuffled
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.perturb.copy_paste import BoxRule
from mednoisy.pseudo.momentum_teacher import MomentumTeacher
from tests.small_runs import SMALL

PREDICTORS = {
    "supervised": ["student"],
    "copy_paste": ["student"],
    "mean_teacher": ["student", "teacher"],
    "bcp": ["student", "teacher"],
    "sdcl": ["mean", "a", "b", "teacher"],
}
LABELED = ["labeled_000", "labeled_001", "labeled_002"]
UNLABELED = ["unlabeled_000", "unlabeled_001", "unlabeled_002"]


@dataclass
class Run:
    """A finished run and what was seen of it while it trained."""

    folder: Path
    trainer: SemiSupervisedTrainer
    batches: dict[str, list[Batch]] = field(default_factory=lambda: defaultdict(list))  # by stage
    teachers: list[bool] = field(default_factory=list)  # train mode, at each labelling

    def checkpoint(self, name: str) -> dict:
        return torch.load(self.folder / "checkpoints" / f"{name}.pt", weights_only=True)

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labeled, three unlabeled and two test phantoms."""
    folder = tmp_path_factory.mktemp("phantoms")
    make_dataset(folder, labeled=3, unlabeled=3, test=2)
    return folder


def trained(data: Path, folder: Path, method: str, **values: Any) -> Run:
    """Five steps under `published`, with no report; validated every second step of a stage."""
    places = {"dataset_dir": str(data), "output_dir": str(folder), "model_file": str(folder / "model.pt")}
    short = {"steps": 5, "labeled": 3, "monitored": 0, "evaluate": ["$@evaluation.run()"]}
    batches: dict[str, list[Batch]] = defaultdict(list)
    teachers: list[bool] = []
    draw, label = TrainingStream.batch, MomentumTeacher.forward

    def drawn(stream: TrainingStream, stage: str, *rest: Any, **named: Any) -> Batch:
        batches[stage].append(draw(stream, stage, *rest, **named))
        return batches[stage][-1]

    def labeled(teacher: MomentumTeacher, images: torch.Tensor) -> torch.Tensor:
        if teacher.training:  # else it is validated
            teachers.append(teacher.network.training)
        return label(teacher, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingStream, "batch", drawn)
        patch.setattr(MomentumTeacher, "forward", labeled)
        composition = compose("phantom", method, "published", overrides=SMALL | places | short | values)
        workflow = composition.run()
    return Run(folder, workflow.parser.get_parsed_content("train#trainer"), batches, teachers)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {method: trained(data, folder / method, method) for method in PREDICTORS}


@pytest.fixture(params=PREDICTORS)
def run(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    """A run of each method."""
    return runs[request.param]


def test_a_run_is_trained_scored_and_in_single_precision(run):
    """All steps are taken, weights are finite, and both test cases have figures."""
    summary = run.summary
    assert (summary["run"]["recipe"], summary["run"]["precision"]) == ("published", "fp32")
    last = run.checkpoint("last")
    assert last["step"] == 5
    assert all(torch.isfinite(value).all() for value in last["method"].values())
    with open(run.folder / "metrics.csv", newline="", encoding="utf-8") as stream:
        assert [row["case"] for row in csv.DictReader(stream)] == ["test_000", "test_001"]


def test_teachers_label_in_train_mode(runs):
    """In every step with unlabeled images, also after a validation, which runs in evaluation mode."""
    steps = {"mean_teacher": 5, "bcp": 4, "sdcl": 4}
    for method, run in runs.items():
        assert all(run.teachers), method
        assert len(run.teachers) >= steps.get(method, 0), method
        assert bool(run.teachers) == (method in steps), method


def test_sdcl_meets_its_pairs_from_both_ends_of_the_list(runs):
    """Half a batch runs the list forwards, the other half backwards, unshuffled, in either stage and section."""
    run = runs["sdcl"]
    assert isinstance(run.trainer.loader.stream.order, ListedPairs)
    assert {stage: len(batches) for stage, batches in run.batches.items()} == {"pretraining": 1, "selftraining": 4}
    for batches in run.batches.values():
        for step, batch in enumerate(batches):
            assert batch.labeled_ids == [LABELED[step % 3], LABELED[2 - step % 3]]
    for step, batch in enumerate(run.batches["selftraining"]):
        assert batch.unlabeled_ids == [UNLABELED[step % 3], UNLABELED[2 - step % 3]]


def test_the_others_shuffle(runs):
    for method in PREDICTORS.keys() - {"sdcl"}:
        assert runs[method].trainer.loader.stream.order is shuffled, method


@pytest.mark.parametrize("method", ["copy_paste", "bcp", "sdcl"])
def test_boxes_and_crops_never_take_the_last_position(runs, method):
    """As `randint(0, L - P)` draws, in each stage."""
    trainer = runs[method].trainer
    for stage in trainer.training.stages:
        assert stage.method().box == BoxRule(last_included=False)
    assert trainer.training.method.box == BoxRule(last_included=False)
    assert trainer.loader.stream.published_margin == (1 if method == "sdcl" else 3)


def test_boxes_on_the_atrium_have_the_limits_of_the_released_code():
    """Whatever the patch."""
    parser = compose("left_atrium", "bcp", "published", overrides={"patch_size": [32, 32, 32]}).workflow().parser
    parser.parse(reset=True)
    box = parser.get_parsed_content("box")
    assert (box.last_included, tuple(box.drawn_for)) == (False, (112, 112, 80))


def test_pretraining_mixes_in_one_direction(runs):
    """The first half of a batch receives a box of the second, and not the other way round."""
    for method in ("copy_paste", "bcp", "sdcl"):
        assert not runs[method].trainer.training.stages[0].method().both_directions, method


def test_moments_are_carried_into_self_training_by_sdcl_alone(runs):
    """SDCL's count of optimiser steps runs through both stages; BCP's atrium code begins anew."""
    assert [runs[method].trainer.training.stages[1].carry_optimisers for method in ("sdcl", "bcp")] == [True, False]
    moments = runs["sdcl"].checkpoint("last")["optimisers"]["a"]["state"]
    assert {int(of_parameter["step"]) for of_parameter in moments.values()} == {5}


def test_each_predictor_has_its_own_best_on_the_test_cases(runs):
    """`best_published_PREDICTOR.pt`, chosen at a validation of the last stage; the honest one is the last step."""
    for method, names in PREDICTORS.items():
        run = runs[method]
        found = {path.name for path in (run.folder / "checkpoints").iterdir()}
        assert found - {"previous.pt"} == {"last.pt", *(f"best_published_{name}.pt" for name in names)}, method
        last_stage = run.trainer.training.plan[-1]
        validated = {*range(last_stage.first + 2, last_stage.last, 2), last_stage.last}
        assert {run.checkpoint(f"best_published_{name}")["step"] for name in names} <= validated, method


def test_the_summary_tells_the_published_choice_apart(runs):
    """Beside the honest and final figures, for every predictor."""
    for method, names in PREDICTORS.items():
        checkpoints = runs[method].summary["checkpoints"]
        assert list(checkpoints) == ["published", "honest", "final"], method
        assert all(list(checkpoints[name]["predictors"]) == names for name in ("honest", "final")), method
        several = ["mean_of_bests"] if "b" in names else []
        assert list(checkpoints["published"]["predictors"]) == names + several, method
        assert checkpoints["honest"] == checkpoints["final"], method
        step = runs[method].checkpoint(f"best_published_{names[0]}")["step"]
        assert checkpoints["published"]["step"] == step, method


@pytest.mark.parametrize("method", ["bcp", "sdcl"])
def test_choosing_on_test_cases_touches_no_weight(data, runs, method, tmp_path):
    """Two stages with and without `select_on_test` end in the same weights: nothing so chosen is handed over."""
    plain = trained(data, tmp_path / "run", method, select_on_test=False)
    assert list(plain.summary["checkpoints"]) == ["honest", "final"]
    assert sorted(path.name for path in (plain.folder / "checkpoints").iterdir()) == ["last.pt", "previous.pt"]
    weights = plain.checkpoint("last")["method"]
    for key, value in runs[method].checkpoint("last")["method"].items():
        assert torch.equal(value, weights[key]), key


def test_a_stage_hands_over_its_best_on_validation_cases(data, tmp_path, caplog):
    """With validation cases they alone choose what the next stage starts from, test cases or not."""
    caplog.set_level("INFO", logger="mednoisy")
    several = {"steps": 6, "val_interval": 1, "stages#0#share": 15000}  # three steps a stage
    run = trained(data, tmp_path / "run", "bcp", validation=1, **several)
    with open(run.folder / "progress.csv", newline="", encoding="utf-8") as stream:
        dice = {int(row["step"]): float(row["val_dice_student"]) for row in csv.DictReader(stream)}
    chosen = max((1, 2, 3), key=lambda step: dice[step])
    best = run.checkpoint("best_pretraining")
    assert (best["step"], list(best["best"])) == (chosen, ["best_pretraining"])
    assert f"stage pretraining hands over step {chosen}, its best" in caplog.messages
    assert "best_published_student" in run.checkpoint("last")["best"]
