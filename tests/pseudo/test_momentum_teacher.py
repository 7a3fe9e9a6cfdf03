"""The momentum teacher against the authors' figures and closed forms."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from mednoisy.pseudo.momentum_teacher import MomentumTeacher

RULES = {
    "parameters_only_alpha_099": {"buffers": False},
    "whole_state_dict_alpha_099": {"buffers": True},
    "ramped_alpha": {"buffers": False, "warm_start": True},
}


class Small(nn.Module):
    """A weight and a batch norm, as in the reference's table."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))
        self.bn = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.bn(x)

    @torch.no_grad()
    def fill(self, **values) -> Small:
        for name, value in values.items():
            self.state_dict()[name.replace("__", ".")].copy_(torch.tensor(value, dtype=torch.float64))
        return self


def student(figures, step: int) -> Small:
    return (
        Small()
        .double()
        .fill(
            w=figures["student_weight_per_step"][step],
            bn__weight=[1 + 0.5 * step] * 2,
            bn__bias=[-0.25 * step] * 2,
            bn__running_mean=[10.0, 20.0],
            bn__running_var=[4.0, 9.0],
            bn__num_batches_tracked=1000 + step,
        )
    )


@pytest.mark.parametrize("rule", RULES)
def test_published_rules(golden, rule):
    """Weights, running statistics and the batch counter after each of five updates."""
    figures = json.loads(golden("ema.json").read_text())
    teacher = MomentumTeacher(Small().double().fill(w=[0.0, 0.0, 1.0], bn__num_batches_tracked=7), **RULES[rule])
    for number, expected in enumerate(figures[rule]["teacher_after_each_step"]):
        teacher.follow(student(figures, number), number)
        found = teacher.network.state_dict()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].tolist() == pytest.approx(value, rel=1e-12, abs=1e-14), name


def test_constant_student():
    """From 0 towards 1 the teacher is 1 - decay^n after n updates."""
    ones = nn.Linear(2, 1).double()
    nn.init.ones_(ones.weight)
    zeros = nn.Linear(2, 1).double()
    nn.init.zeros_(zeros.weight)
    teacher = MomentumTeacher(zeros, decay=0.9)
    for number in range(7):
        teacher.follow(ones, number)
    assert teacher.network.weight.tolist()[0] == pytest.approx([1 - 0.9**7] * 2)
    assert not zeros.weight.any()


def test_a_warm_start_is_a_plain_mean_at_first():
    """While 1 - 1/(t + 1) is below the decay, the teacher is the mean of all students so far."""
    teacher = MomentumTeacher(nn.Linear(1, 1), warm_start=True)
    for number in range(10):
        network = nn.Linear(1, 1)
        nn.init.constant_(network.weight, float(number))
        teacher.follow(network, number)
    assert teacher.network.weight.item() == pytest.approx(4.5)


def test_modes_and_gradients():
    """In evaluation mode dropout is off while the method trains; on request it is not; no gradient either way."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    images = torch.randn(8, 4)
    calm, lively = MomentumTeacher(network).train(), MomentumTeacher(network, mode="train").train()
    assert torch.equal(calm(images), network[0](images))
    assert (lively(images) == 0).any()
    assert torch.equal(lively.eval()(images), network[0](images))
    assert not calm(images).requires_grad
    assert not any(parameter.requires_grad for parameter in calm.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_copy():
    """The teacher starts equal to the student, buffers included, and shares nothing with it."""
    network = Small().fill(w=[1.0, 2.0, 3.0], bn__running_mean=[4.0, 5.0])
    teacher = MomentumTeacher(network)
    for mine, theirs in zip(teacher.network.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_impossible_arguments():
    """A decay outside 0..1 and an unknown mode are refused."""
    with pytest.raises(ValueError, match=r"decay is 1\.5; it must lie in 0\.\.1"):
        MomentumTeacher(nn.Linear(1, 1), decay=1.5)
    with pytest.raises(ValueError, match="mode is 'frozen'"):
        MomentumTeacher(nn.Linear(1, 1), mode="frozen")
