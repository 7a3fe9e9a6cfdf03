"""The state of a run, without a trainer: entered, saved and taken up, handed to the next stage."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from mednoisy.data.counter_based_random import Draw
from mednoisy.engines import checkpoint
from mednoisy.engines.progress_log import TIMES, Progress
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stages import Stage
from mednoisy.engines.training_state import TrainingState, training_of
from mednoisy.errors import UserError
from mednoisy.methods.method import Step
from tests.engines.small import PATCH, assert_same, mean_teacher_stages, sdcl_stages, small_stream


def state_of(folder: Path, stages: list[Stage], steps: int = 6, **options: Any) -> TrainingState:
    return TrainingState(stages, steps, PATCH, "cpu", RunFolder(folder), Progress(folder, interval=3), **options)


def learn(training: TrainingState, steps: int) -> None:
    """Go on by some steps of the current stage, as the trainer does."""
    stage, progress, stream = training.current.stage, training.progress, small_stream()
    for step in range(training.step - training.current.first, training.step - training.current.first + steps):
        now = Step(step, training.current.steps, Draw(0, stage.name, step))
        torch.manual_seed(step)
        batch = stream.augmented(stream.batch(stage.name, step, stage.labeled, stage.unlabeled))
        losses = training.wrapped(batch, now)
        totals = {name: terms.total() for name, terms in losses.items()}
        training.optimisers.backward(totals)
        training.optimisers.apply(totals)
        training.method.after_update(now)
        training.step += 1
        progress.record(training.step, stage.name, training.optimisers.learning_rate, losses)


def at_rest(training: TrainingState) -> dict[str, Any]:
    """Its snapshot, copied, since that of a state at work moves with it; without clock times."""
    return deepcopy({key: value for key, value in training.snapshot().items() if key not in TIMES})


def first_stage_done(folder: Path, stages: list[Stage], best: int | None = None) -> tuple[TrainingState, dict]:
    """After the three steps of the first of two stages, and the snapshot of its best step, or else of its last."""
    training = state_of(folder, stages)
    training.enter(training.plan[0])
    snapshots = {}
    for step in (1, 2, 3):
        learn(training, 1)
        snapshots[step] = at_rest(training)
        if step == best:
            training.keep_best(f"best_{training.current.stage.name}", 0.5)
    return training, snapshots[best or 3]


def test_entering_makes_method_and_optimisers_of_the_stage_on_the_shared_networks(tmp_path):
    training = state_of(tmp_path, mean_teacher_stages())
    training.enter(training.plan[0])
    assert (training.current.stage.name, training.current.first, training.current.last) == ("supervised", 0, 3)
    first, optimisers = training.method, training.optimisers
    training.best["best_supervised"] = 0.5
    training.method.eval()
    training.enter(training.plan[1])
    assert set(training.method.predictors()) == {"student", "teacher"}
    assert training.wrapped is training.method
    assert training.method.students["student"] is first.students["student"]
    assert training.method.students["student"].training
    assert training.optimisers is not optimisers
    assert training.best == {}
    assert training.in_last_stage


@pytest.mark.parametrize("carry", [False, True])
def test_moments_are_carried_where_the_stage_says_so(tmp_path, carry):
    training, _ = first_stage_done(tmp_path, mean_teacher_stages(carry))
    step, moments = training.hand_over()
    wanted = deepcopy(moments["student"]["state"])
    training.enter(training.plan[1], moments)
    assert step == 3
    assert wanted[0]["momentum_buffer"].abs().sum() > 0
    assert_same(training.optimisers.state_dict()["student"]["state"], wanted if carry else {})


@pytest.mark.parametrize("stages", [mean_teacher_stages, sdcl_stages])
@pytest.mark.parametrize("number", [0, 1])
def test_a_restored_state_goes_on_bit_for_bit(tmp_path, stages, number):
    """Saved after the first step of either stage, with one term that no row holds yet."""
    training = state_of(tmp_path, stages())
    training.enter(training.plan[0])
    if number:
        training, _ = first_stage_done(tmp_path, stages())
        training.enter(training.plan[1], training.hand_over()[1])
    learn(training, 1)
    training.bad_steps = 2
    training.best["best_honest"] = 0.25
    training.save()
    saved = at_rest(training)
    learn(training, 2)
    training.progress.write()

    again = state_of(tmp_path, stages())
    again.restore(checkpoint.load(tmp_path / "checkpoints" / "last.pt"))
    assert_same(at_rest(again), saved)
    assert (again.step, again.bad_steps, again.best) == (3 * number + 1, 2, {"best_honest": 0.25})
    assert [int(row["step"]) for row in again.progress.rows] == [3][:number]  # later ones are dropped
    learn(again, 2)
    assert_same(at_rest(again), at_rest(training))


def test_the_best_of_the_finished_stage_is_handed_over(tmp_path):
    training, wanted = first_stage_done(tmp_path, sdcl_stages(), best=2)
    step, moments = training.hand_over()
    assert step == 2
    assert_same(moments, wanted["optimisers"])
    assert_same(training.method.state_dict(), wanted["method"])
    training.enter(training.plan[1])
    weights = {name: student.state_dict() for name, student in training.method.students.items()}
    for name, student in weights.items():
        for key, value in student.items():
            assert torch.equal(value, wanted["method"][f"students.{name}.{key}"])


def test_without_validation_the_last_is_handed_over(tmp_path):
    training, wanted = first_stage_done(tmp_path, sdcl_stages())
    step, moments = training.hand_over()
    assert step == 3
    assert_same(moments, wanted["optimisers"])
    assert_same(training.method.state_dict(), wanted["method"])


def test_the_best_of_another_stage_is_not_handed_over(tmp_path):
    training, wanted = first_stage_done(tmp_path, sdcl_stages())
    checkpoint.save(tmp_path / "checkpoints" / "best_selftraining.pt", wanted | {"step": 1})
    assert training.hand_over()[0] == 3


def test_another_number_of_processes_is_refused(tmp_path):
    training, content = first_stage_done(tmp_path, sdcl_stages())
    with pytest.raises(UserError, match=r"E316 the run was on 2 processes, this is on 1\. Use as many as before"):
        training.restore(content | {"world": 2} | dict.fromkeys(TIMES, 0.0))


def test_other_networks_and_stages_are_refused(tmp_path):
    _, content = first_stage_done(tmp_path, sdcl_stages())
    other_weights = {name: value[None] for name, value in content["method"].items()}
    others: list[tuple[list[Stage], dict[str, Any]]] = [
        (mean_teacher_stages(), content),
        (mean_teacher_stages(), content | {"stage": "supervised"}),
        (sdcl_stages(), content | {"method": other_weights}),
    ]
    for stages, foreign in others:
        with pytest.raises(UserError, match=r"E317 .*last\.pt does not fit the networks and optimisers of this run"):
            state_of(tmp_path, stages).restore(foreign | dict.fromkeys(TIMES, 0.0))


def test_a_best_of_steps_to_be_done_again_is_dropped(tmp_path):
    """A kill between the best checkpoint and `last.pt` leaves a best that the resumed run has not reached."""
    training, content = first_stage_done(tmp_path, mean_teacher_stages())
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder / "best_supervised.pt", content)
    checkpoint.save(folder / "best_honest.pt", content | {"step": content["step"] + 1})
    state_of(tmp_path, mean_teacher_stages()).restore(training.snapshot())
    assert [path.name for path in folder.iterdir()] == ["best_supervised.pt"]


def test_a_best_is_kept_where_it_is_above_those_before(tmp_path):
    training = state_of(tmp_path, sdcl_stages(), steps=12)
    training.enter(training.plan[0])
    steps = []
    for value in (math.nan, 0.5, 0.5, 0.4, math.nan, 0.6):
        learn(training, 1)
        training.keep_best("best_honest", value)
        path = tmp_path / "checkpoints" / "best_honest.pt"
        steps.append(checkpoint.load(path)["step"] if path.exists() else None)
    assert steps == [None, 2, 2, 2, 2, 6]
    assert training.best == {"best_honest": 0.6}
    assert checkpoint.load(path)["value"] == 0.6


def test_a_run_of_fewer_steps_than_stages_has_no_plan(tmp_path):
    with pytest.raises(UserError, match="E110 1 steps for 2 stages"):
        _ = state_of(tmp_path, sdcl_stages(), steps=1).plan


def test_a_handler_reaches_the_state_of_its_engine(tmp_path):
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(TypeError, match="Engine has no TrainingState as its attribute 'training'"):
        training_of(engine)
    engine.training = training = state_of(tmp_path, sdcl_stages())  # type: ignore[attr-defined]
    assert training_of(engine) is training
