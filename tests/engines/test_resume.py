"""A run that was interrupted equals the one that was not, bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.errors import UserError
from mednoisy.perturb import Affine, Flip, Gamma, GaussianNoise, Geometry, Intensity
from tests.engines.small import At, assert_same, kept, mean_teacher_stages, sdcl_stages, small_stream, small_trainer


class Killed(Exception):
    """Stands for a kill: nothing more is saved."""


def kill(engine: Any) -> None:
    raise Killed


def run(folder: Path, stages: list, **options: Any) -> None:
    trainer = small_trainer(folder, stages, **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a run leaves that nothing interrupts, made once for each kind."""
    made: dict[tuple, dict] = {}

    def of(make: Any, carry: bool = False, validate_every: int | None = 2) -> dict:
        key = (make, carry, validate_every)
        if key not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            run(folder, make(carry), validate_every=validate_every)
            made[key] = kept(folder)
        return made[key]

    return of


# 12 steps, the hand-over after 6, saved after 3, 6, 9, 12 and each validation (2, 4, 6, 8, ...).
@pytest.mark.parametrize("stages", [sdcl_stages, mean_teacher_stages])
@pytest.mark.parametrize("step", [5, 6, 7, 11])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, uninterrupted, stages, step):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(folder, stages(), handlers=[At(step, kill)])
    run(folder, stages(), resume=True)
    assert_same(kept(folder), uninterrupted(stages))


def test_augmentation_is_the_same_after_an_interruption_and_with_workers(tmp_path, uninterrupted):
    def changed() -> TrainingStream:
        spatial = Geometry([Flip(), Affine(rotation=0.3, probability=0.8)])
        return small_stream(spatial=spatial, intensity=Intensity([GaussianNoise(probability=0.8), Gamma()]))

    whole, folder = tmp_path / "whole", tmp_path / "run"
    run(whole, mean_teacher_stages(), stream=changed())
    with pytest.raises(Killed):
        run(folder, mean_teacher_stages(), stream=changed(), handlers=[At(8, kill)])
    run(folder, mean_teacher_stages(), stream=changed(), resume=True, workers=1)
    assert_same(kept(folder), kept(whole))
    with pytest.raises(AssertionError):
        assert_same(kept(folder), uninterrupted(mean_teacher_stages))


@pytest.mark.parametrize("step", [2, 7])
def test_carried_moments_survive_an_interruption(tmp_path, uninterrupted, step):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(folder, sdcl_stages(True), handlers=[At(step, kill)])
    run(folder, sdcl_stages(True), resume=True)
    assert_same(kept(folder), uninterrupted(sdcl_stages, carry=True))


@pytest.mark.parametrize("carry", [False, True])
def test_without_validation_the_last_networks_are_handed_over(tmp_path, uninterrupted, carry):
    folder = tmp_path / "run"
    with pytest.raises(Killed):  # saved after step 6, the last of stage 1; step 7 is lost
        run(folder, sdcl_stages(carry), validate_every=None, handlers=[At(7, kill)])
    assert checkpoint.load(folder / "checkpoints" / "last.pt")["step"] == 6
    run(folder, sdcl_stages(carry), validate_every=None, resume=True)
    assert_same(kept(folder), uninterrupted(sdcl_stages, carry, None))
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["last.pt", "previous.pt"]


def test_rows_before_the_first_checkpoint_are_dropped_with_their_steps(tmp_path, uninterrupted):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run(folder, sdcl_stages(), validate_every=None, save_interval=100, handlers=[At(5, kill)])
    assert (folder / "progress.csv").is_file()
    assert not (folder / "checkpoints").exists()
    run(folder, sdcl_stages(), validate_every=None, resume=True)
    assert_same(kept(folder), uninterrupted(sdcl_stages, validate_every=None))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 5, 6, 12])
def test_a_signal_saves_first_then_stops(tmp_path, uninterrupted, number, step):
    folder = tmp_path / "run"
    handled = signal.getsignal(number)

    def send(engine: Any) -> None:  # before the step's only look at signals: the step ends, then the run
        os.kill(os.getpid(), number)

    trainer = small_trainer(folder, sdcl_stages())
    iterate = trainer._iteration
    trainer._process_function = lambda engine, batch: (
        send(engine) if engine.state.iteration == step else None,
        iterate(engine, batch),
    )[1]
    with pytest.raises(UserError, match=f"E331 stopped by {number.name} after step {step}, which is saved") as error:
        trainer.run()
    trainer.run_folder.close()
    assert error.value.exit_code == 1
    assert signal.getsignal(number) is handled
    assert checkpoint.load(folder / "checkpoints" / "last.pt")["step"] == step
    run(folder, sdcl_stages(), resume=True)
    assert_same(kept(folder), uninterrupted(sdcl_stages))


def test_a_signal_after_the_last_look_is_not_lost(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=r"E331 stopped by SIGTERM after step 12"):
        run(folder, sdcl_stages(), handlers=[At(12, lambda engine: os.kill(os.getpid(), signal.SIGTERM))])
    run(folder, sdcl_stages(), resume=True)  # nothing is left to train


def test_a_signal_that_ends_the_loader_too_is_saved(tmp_path, uninterrupted):
    folder = tmp_path / "run"
    trainer = small_trainer(folder, sdcl_stages())
    steps = trainer.loader.steps

    def dying(stage: str, numbers: range, *rest: Any) -> Any:
        for number, batch in zip(numbers, steps(stage, numbers, *rest), strict=True):
            if stage == "selftraining" and number == 2:
                trainer._signals._note(signal.SIGTERM, None)
                raise RuntimeError("DataLoader worker exited unexpectedly")
            yield batch

    trainer.loader.steps = dying
    with pytest.raises(UserError, match=r"E331 stopped by SIGTERM after step 8"):
        trainer.run()
    trainer.run_folder.close()
    run(folder, sdcl_stages(), resume=True)
    assert_same(kept(folder), uninterrupted(sdcl_stages))


def test_workers_change_nothing(tmp_path, uninterrupted):
    run(tmp_path / "run", sdcl_stages(), workers=2)
    assert_same(kept(tmp_path / "run"), uninterrupted(sdcl_stages))


def test_a_finished_run_stays_as_it_is(tmp_path):
    run(tmp_path / "run", sdcl_stages(), steps=4)
    before = kept(tmp_path / "run")
    run(tmp_path / "run", sdcl_stages(), steps=4, resume=True)
    assert_same(kept(tmp_path / "run"), before)


def test_other_networks_are_refused(tmp_path):
    run(tmp_path / "run", mean_teacher_stages(), steps=4)
    with pytest.raises(UserError, match=r"E317 .*does not fit"):
        run(tmp_path / "run", sdcl_stages(), steps=4, resume=True)


def test_weights_of_an_earlier_stage_are_refused_where_the_last_is_wanted(tmp_path):
    first, last = sdcl_stages()
    content = {"step": 3, "stage": first.name, "method": first.method().state_dict()}
    with pytest.raises(UserError, match=r"E318 the checkpoint of step 3 \(stage '.*'\) does not fit"):
        checkpoint.restore(last.method(), content)
