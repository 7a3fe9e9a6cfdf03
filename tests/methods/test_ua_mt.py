"""UA-MT against the authors' figures and a case of four pixels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from mednoisy.losses.consistency import squared_gap
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.ramp_up import StepRamp, weight_at
from mednoisy.methods.ua_mt import UncertaintyAwareMeanTeacher
from mednoisy.pseudo.confidence import predictive_entropy
from tests.losses.figures import Figures
from tests.methods.planted import Planted, batch_of, entropy, pixels, sigmoid
from tests.methods.small import gradients, small_batch, small_network, step_at

TEACHER, STUDENT = (2, -1, 0.5, -3), (1, 1, 1, -1)


@pytest.mark.parametrize("number", [0, 1500, 3000, 6000])
def test_published_masked_consistency(golden, number):
    """Entropy of eight passes, limit, mask, and value and gradient of the consistency, as in the released code."""
    figures = Figures(golden("losses_3d_two_class.npz"))
    passes = torch.from_numpy(figures.arrays["uamt_T_passes_logits"]).double()
    mean = passes.softmax(dim=1).reshape(8, 2, *passes.shape[1:]).mean(dim=0)
    uncertainty = predictive_entropy(mean)
    np.testing.assert_allclose(uncertainty, figures.arrays["uamt_uncertainty"][:, 0], atol=1e-6)
    limit = UncertaintyAwareMeanTeacher(small_network()).entropy_limit(step_at(number, 6000), classes=2)
    assert limit == pytest.approx(float(figures.arrays[f"value__uamt_threshold_iter{number}"]), rel=1e-10)
    mask = torch.from_numpy(figures.arrays[f"uamt_mask_iter{number}"][:, 0]).bool()
    assert torch.equal(uncertainty < limit, mask)
    target = torch.softmax(figures.logits("teacher"), dim=1)
    figures.check(f"uamt_masked_consistency_mse_iter{number}", lambda logits: squared_gap(logits, target, mask))


@pytest.mark.parametrize(("number", "limit"), [(0, 0.521028), (3000, 0.569508), (6000, 0.693147)])
def test_the_limit_rises_to_that_of_an_undecided_voxel(number, limit):
    """(.75 + .25 r) ln K for any number of classes."""
    method = UncertaintyAwareMeanTeacher(small_network())
    assert method.entropy_limit(step_at(number, 6000), 2) == pytest.approx(limit, abs=1e-6)
    assert method.entropy_limit(step_at(number, 6000), 4) == pytest.approx(2 * limit, abs=2e-6)


def test_weights_of_the_first_step(golden):
    """The default ramp begins at .1 exp(-5), as the published one, and ends at .1."""
    method = UncertaintyAwareMeanTeacher(small_network())
    assert weight_at(method.weight, step_at(0, 6000)) == pytest.approx(0.1 * math.exp(-5))
    published = StepRamp(stairs=40, zero_before=0)
    figures = json.loads(golden("ema.json").read_text())["uamt_consistency_weight"]["iteration"]
    for number, expected in figures.items():
        assert weight_at(published, step_at(int(number), 6000)) == pytest.approx(expected, rel=1e-12)
        assert weight_at(method.weight, step_at(int(number), 6000)) == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize(("number", "certain"), [(0, (0, 3)), (100, (0, 1, 2, 3))])
def test_four_pixels(number, certain):
    """Only pixels below the limit count: mean over them of the squared gap of the foreground's probabilities."""
    assert [entropy(TEACHER[i]) < 0.521 for i in range(4)] == [True, False, False, True]
    method = UncertaintyAwareMeanTeacher(Planted(), noise=0.0).train()
    terms = method(batch_of(pixels(STUDENT), pixels(TEACHER)), step_at(number))["student"]
    gaps = [(sigmoid(STUDENT[i]) - sigmoid(TEACHER[i])) ** 2 for i in certain]
    assert terms["agree"][1].item() == pytest.approx(sum(gaps) / len(gaps), rel=1e-5)
    assert terms["certain"][1].item() == len(certain) / 4


def test_constants_of_the_2d_script():
    """For four classes limit and divisor are those of two: half the limit, twice the term; for two nothing changes."""
    for classes, ratio in ((4, 2), (2, 1)):
        batch, network = small_batch(classes, (6, 5)), small_network(classes, 2)
        plain, published = (
            UncertaintyAwareMeanTeacher(
                network, ssl4mis_constants=flag, noise=0.0, limit_from=9.0, limit_to=9.0
            ).train()
            for flag in (False, True)
        )
        of_plain, of_published = (method(batch, step_at())["student"] for method in (plain, published))
        assert of_plain["certain"][1].item() == of_published["certain"][1].item() == 1  # 9 ln 2 is above ln 4
        assert of_published["agree"][1].item() == pytest.approx(ratio * of_plain["agree"][1].item(), rel=1e-6)


def test_with_every_voxel_certain_it_is_mean_teacher():
    """A limit above all entropies leaves mean teacher's gradients, equal noise included."""
    batch, network = small_batch(3), small_network(3)
    ours = UncertaintyAwareMeanTeacher(network, weight=0.1, limit_from=2.0, limit_to=2.0)
    plain = MeanTeacher(network, weight=0.1)
    for mine, theirs in zip(
        gradients(ours, "student", batch, step_at()), gradients(plain, "student", batch, step_at()), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_no_certain_voxel_costs_nothing():
    """The term is 0, with a finite gradient."""
    method = UncertaintyAwareMeanTeacher(small_network(), weight=1.0, limit_from=0.0, limit_to=0.0).train()
    terms = method(small_batch(), step_at())["student"]
    assert terms["agree"][1].item() == terms["certain"][1].item() == 0
    assert all(torch.isfinite(each).all() for each in gradients(method, "student", small_batch(), step_at()))


class Watched(nn.Module):
    """A network that notes whether dropout and batch norm were in training in each pass."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout2d(0.5))
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, image):
        self.seen.append((self.layers[2].training, self.layers[1].training))
        return self.layers(image)


@pytest.mark.parametrize(
    ("mode", "labeling", "passes"),
    [("eval", (False, False), (True, False)), ("train", (True, True), (True, True))],
)
def test_dropout_of_the_passes(mode, labeling, passes):
    """The target comes first; eight passes with dropout follow, with batch statistics in published mode only."""
    method = UncertaintyAwareMeanTeacher(Watched(), teacher_mode=mode).train()
    batch = small_batch(2, (6, 5))
    method(batch, step_at())
    assert method.teacher.network.seen == [labeling, *[passes] * 8]
    assert method.teacher.network.layers[2].training == (mode == "train")


def test_too_few_passes():
    with pytest.raises(ValueError, match="passes is 0; the entropy needs 1 or more"):
        UncertaintyAwareMeanTeacher(small_network(), passes=0)
