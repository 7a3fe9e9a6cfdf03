"""Steps through `torch.compile`: they learn the same, resume the same, and validation stays out of it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn

from mednoisy.engines.stages import Stage
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.ramp_up import Ramp
from tests.engines.small import At, assert_same, kept, small_trainer

# What torch imports to compile warns of its own use of torch.jit.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::DeprecationWarning")]


class Network(nn.Module):
    """With a forward of its own, which is what is compiled."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.norm, self.last = nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3), nn.Conv3d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(images))))


def stages() -> list[Stage]:
    method = partial(MeanTeacher, Network(), weight=Ramp(to=0.5))
    return [Stage("teaching", method, 1, partial(torch.optim.SGD, lr=0.05), labeled=2, unlabeled=2)]


@pytest.fixture
def fresh():
    """Nothing compiled yet; afterwards torch compiles again where it is asked to."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.compiler.set_stance("default")


def compiled_frames() -> int:
    return torch._dynamo.utils.counters["frames"]["ok"]


def test_compiled_steps_learn_what_others_learn(tmp_path, fresh):
    rows = []
    for compiled in (False, True):
        trainer = small_trainer(tmp_path / str(compiled), stages(), compiled=compiled, log_interval=1)
        trainer.run()
        rows.append([row["student/dice"] for row in trainer.training.progress.rows if "student/dice" in row])
    assert compiled_frames() > 0
    assert rows[1] == pytest.approx(rows[0], rel=1e-4)


def test_validation_compiles_nothing(tmp_path, fresh):
    small_trainer(tmp_path / "without", stages(), steps=4, validate_every=None, compiled=True).run()
    once = compiled_frames()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    small_trainer(tmp_path / "with", stages(), steps=4, validate_every=2, compiled=True).run()
    assert compiled_frames() == once > 0


def test_a_compiled_run_resumes_bit_for_bit(tmp_path, fresh):
    def stop(engine):
        raise KeyboardInterrupt

    small_trainer(tmp_path / "whole", stages(), compiled=True).run()
    half = small_trainer(tmp_path / "half", stages(), compiled=True, handlers=[At(7, stop)])
    with pytest.raises(KeyboardInterrupt):
        half.run()
    half.run_folder.close()
    small_trainer(tmp_path / "half", stages(), compiled=True, resume=True).run()
    assert_same(kept(tmp_path / "half"), kept(tmp_path / "whole"))
