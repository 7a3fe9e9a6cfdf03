"""Steps: what one learns, what it reads, what it refuses."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.engines.learning_rates import Polynomial
from mednoisy.engines.stages import Stage
from mednoisy.engines.training_state import TrainingState
from mednoisy.errors import UserError
from mednoisy.methods.method import Method, Step, Terms
from mednoisy.methods.supervised import Supervised
from tests.engines.small import (
    At,
    assert_same,
    sdcl_stages,
    small_cases,
    small_network,
    small_stream,
    small_trainer,
    supervised_stage,
)


class Poisoned(Method):
    """Two students; the total of `b` is not finite in the steps named, through a value or a gradient alone."""

    def __init__(self, bad_steps: set[int], how: str = "value"):
        super().__init__()
        self.students = nn.ModuleDict({"a": small_network(1), "b": small_network(2)})
        self.bad_steps, self.how, self.followed = bad_steps, how, []

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        bad = step.number in self.bad_steps
        images = batch.labeled * (torch.nan if bad and self.how == "batch" else 1)
        totals = {name: student(images).square().mean() for name, student in self.students.items()}
        if bad and self.how == "value":
            totals["b"] = totals["b"] * torch.nan
        if bad and self.how == "gradient":  # the value is 0, its derivative infinite
            totals["b"] = (totals["b"] - totals["b"].detach()).abs().sqrt()
        return {
            name: Terms(size=(1.0, total), seen=(0.0, total.detach() * torch.nan)) for name, total in totals.items()
        }

    def after_update(self, step: Step) -> None:
        self.followed.append(step.number)

    def predictors(self) -> dict[str, nn.Module]:
        return dict(self.students)


def poisoned_stage(method: Method) -> list[Stage]:
    return [Stage("training", lambda: method, 1, partial(torch.optim.Adam, lr=0.01), labeled=2)]


def states(training: TrainingState) -> list[Any]:
    tensors = {name: value.clone() for name, value in training.method.state_dict().items()}
    moments = {
        name: {n: {k: v.clone() for k, v in moments.items()} for n, moments in state["state"].items()}
        for name, state in training.optimisers.state_dict().items()
    }
    return [tensors, moments]


@pytest.mark.parametrize("how", ["value", "gradient", "batch"])
def test_a_step_that_is_not_finite_is_skipped_without_a_trace(tmp_path, how):
    seen: dict[int, list] = {}
    watch = [
        At(step, lambda engine: seen.__setitem__(engine.state.iteration, states(engine.training)))
        for step in range(1, 6)
    ]
    method = Poisoned({2}, how)
    trainer = small_trainer(tmp_path / "run", poisoned_stage(method), 5, validate_every=None, handlers=watch)
    trainer.run()
    trainer.run_folder.close()
    assert_same(seen[3], seen[2])  # weights, moments and batch norm's statistics alike
    assert not torch.equal(seen[2][0]["students.a.0.weight"], seen[1][0]["students.a.0.weight"])
    assert not torch.equal(seen[4][0]["students.a.0.weight"], seen[3][0]["students.a.0.weight"])
    assert method.followed == [0, 1, 3, 4]
    log = (tmp_path / "run" / "log.txt").read_text()
    ids = ", ".join(small_stream().batch("training", 2, 2, 0).labeled_ids)
    assert f"WARNING step 3 skipped: a loss or gradient is NaN or infinite; cases {ids}\n" in log


def test_three_bad_steps_in_a_row_stop_the_run_and_keep_the_last_good_checkpoint(tmp_path):
    method = Poisoned({1, 3, 4, 5, 6})
    trainer = small_trainer(tmp_path / "run", poisoned_stage(method), 20, validate_every=None, save_interval=3)
    with pytest.raises(UserError, match=r"E330 3 steps in a row gave NaN .* the last was 6 on p\d, p\d") as error:
        trainer.run()
    trainer.run_folder.close()
    assert error.value.exit_code == 1
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 3
    assert "ERROR E330" in (tmp_path / "run" / "log.txt").read_text()


def test_bad_steps_are_counted_across_an_interruption(tmp_path):
    for resume in (False, True):  # saved after step 3 with two bad steps behind, so a third one stops at once
        stage = poisoned_stage(Poisoned({1, 2, 3}))
        trainer = small_trainer(tmp_path / "run", stage, 9, resume, validate_every=None, save_interval=1)
        with pytest.raises(UserError, match="the last was 4"):
            trainer.run()
        trainer.run_folder.close()


class Shared(Method):
    """Students whose totals share a term of both, and one that takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.students = nn.ModuleDict({"a": small_network(1), "b": small_network(2)})

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        a, b = (student(batch.labeled) for student in self.students.values())
        between = (a.softmax(1) * b.softmax(1)).mean()
        return {
            "a": Terms(
                own=(1.0, a.square().mean()), between=(0.5, between), ignored=(0.0, (a * b).exp().sum() * torch.inf)
            ),
            "b": Terms(between=(2.0, between)),
        }

    def predictors(self) -> dict[str, nn.Module]:
        return dict(self.students)


def test_each_backward_reaches_its_own_student_alone(tmp_path):
    """Gradients equal those of the student's total with the other student held fixed."""
    method = Shared()
    stage = [Stage("training", lambda: method, 1, partial(torch.optim.SGD, lr=0.0), labeled=2)]
    trainer = small_trainer(tmp_path / "run", stage, 1, validate_every=None)
    trainer.run()
    trainer.run_folder.close()
    batch = small_stream().batch("training", 0, 2, 0)
    gradients = {name: [p.grad.clone() for p in student.parameters()] for name, student in method.students.items()}

    fresh = Shared()
    fresh.train()
    step = Step(0, 1, Draw(0, "training/method/0", 0))
    torch.manual_seed(step.draw.key("torch", bits=56))
    losses = fresh.losses(batch, step)
    weights = {"a": losses["a"]["own"][1] + 0.5 * losses["a"]["between"][1], "b": 2 * losses["b"]["between"][1]}
    for name, total in weights.items():
        wanted = torch.autograd.grad(total, list(fresh.students[name].parameters()), retain_graph=True)
        for gradient, expected in zip(gradients[name], wanted, strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)
            assert torch.isfinite(gradient).all()  # a term of weight 0, even infinite, is not in the total


def test_one_host_read_a_step_and_the_log_every_fourth(tmp_path, monkeypatch):
    reads: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "numpy", "cpu"):
        original = getattr(Tensor, name)

        def counted(self: Tensor, *args: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            reads.append(name)
            return original(self, *args, **options)

        monkeypatch.setattr(Tensor, name, counted)
    per_step: list[int] = []

    def note(engine: Any) -> None:
        per_step.append(len(reads))
        reads.clear()

    trainer = small_trainer(
        tmp_path / "run",
        supervised_stage(optimiser=partial(torch.optim.AdamW, lr=0.01)),
        8,
        validate_every=None,
        handlers=[At(step, note) for step in range(1, 9)],
        stream=Prepared(),
        save_interval=100,
    )
    trainer.run()
    trainer.run_folder.close()
    assert per_step[1:] == [1, 1, 2, 1, 1, 1, 2]  # the first count holds the setting up


class Prepared:
    """A stream whose batches are ready, so that reads are those of the engine."""

    def __init__(self) -> None:
        stream = small_stream()
        self.batches = [stream.augmented(stream.batch("training", step, 2, 0)) for step in range(8)]
        self.patch_size, self.summary, self.labeled = stream.patch_size, "ready", stream.labeled
        self.unlabeled = None

    def check(self, labeled: int, unlabeled: int) -> None:
        pass

    def batch(self, step: int, **rest: Any) -> Batch:
        return self.batches[step]

    def augmented(self, batch: Batch) -> Batch:
        return batch


def test_optimisers_are_fused_and_rates_follow_the_schedule(tmp_path):
    rates: list[float] = []
    trainer = small_trainer(
        tmp_path / "run",
        supervised_stage(schedule=Polynomial(power=1.0)),
        5,
        validate_every=None,
        handlers=[
            At(step, lambda engine: rates.append(engine.training.optimisers.learning_rate)) for step in range(1, 6)
        ],
    )
    trainer.run()
    trainer.run_folder.close()
    assert rates == pytest.approx([0.01 * (1 - step / 5) for step in range(5)])
    assert trainer.training.optimisers.optimisers["student"].defaults["fused"] is True


class Observed(nn.Module):
    """A network that tells what precision its convolution ran in."""

    divisor = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dtypes = nn.Conv3d(1, 2, 1), []

    def forward(self, images: Tensor) -> Tensor:
        logits = self.layer(images)
        self.dtypes.append(logits.dtype)
        return logits


@pytest.mark.parametrize(("patch", "wanted"), [((8, 8, 8), torch.float32), ((12, 12, 12), torch.bfloat16)])
def test_bf16_falls_back_where_a_cpu_gives_nan(tmp_path, patch, wanted):
    """Coarsest maps of 2x2x2 and 3x3x3 voxels."""
    network = Observed()
    stage = [Stage("training", lambda: Supervised(network), 1, partial(torch.optim.SGD, lr=0.1), labeled=2)]
    stream = TrainingStream(small_cases(0, 2, True), None, patch)
    trainer = small_trainer(
        tmp_path / "run", stage, 1, validate_every=None, stream=stream, precision="bf16", channels_last=True
    )
    trainer.run()
    trainer.run_folder.close()
    assert network.dtypes == [wanted]
    warned = "bf16 is unsafe on a CPU for feature maps of [2, 2, 2] voxels: training in fp32"
    assert (warned in (tmp_path / "run" / "log.txt").read_text()) is (wanted is torch.float32)


def refused(folder: Any, match: str, **options: Any) -> None:
    """The run is refused in one line, and leaves no file."""
    trainer = small_trainer(folder, **options)
    with pytest.raises(UserError, match=match) as error:
        trainer.run()
    trainer.run_folder.close()
    assert error.value.exit_code == 2
    assert not folder.exists()


def test_what_is_refused_leaves_nothing(tmp_path):
    folder = tmp_path / "run"
    few = small_stream(labeled=4, unlabeled=1)  # the second stage needs two: told before the first begins
    refused(folder, "E220 a step draws 2 unlabeled crops .*section 'unlabeled' has 1", stages=sdcl_stages(), stream=few)
    refused(folder, "E220 .*section 'labeled' has 1", stages=supervised_stage(), stream=small_stream(labeled=1))
    refused(folder, "E110 1 steps for 2 stages", stages=sdcl_stages(), steps=1)
    refused(folder, r"E112 patch size \[8, 8, 6\] is no multiple of 4.*=\[8,8,8\]", stages=indivisible_stage())
    for place, unlabeled in ((0, 0), (1, 3)):  # before the first stage
        odd = sdcl_stages()
        stage = odd[place]
        odd[place] = Stage(stage.name, stage.method, 1, stage.optimiser, labeled=3, unlabeled=unlabeled)
        refused(folder, "E120 the labeled batch holds 3 crops", stages=odd)
    with pytest.raises(UserError, match=r"E111 precision 'fp16' is unknown"):
        small_trainer(folder, supervised_stage(), precision="fp16")


def indivisible_stage() -> list[Stage]:
    return [Stage("training", partial(Supervised, Observed()), 1, partial(torch.optim.SGD, lr=0.1), labeled=2)]


def test_the_log_tells_cases_ram_stages_and_faults(tmp_path):
    def fail(engine: Any) -> None:
        raise ArithmeticError("planted")

    trainer = small_trainer(tmp_path / "run", sdcl_stages(), 8, handlers=[At(2, fail)])
    with pytest.raises(ArithmeticError):
        trainer.run()
    trainer.run_folder.close()
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "4 labeled and 6 unlabeled cases in 0.00 GB of RAM" in log
    assert "step 0 of 8 (pretraining 4, selftraining 4)" in log
    assert "the run failed at step 2" in log
    assert "Traceback" in log
    assert not logging.getLogger("mednoisy").handlers
