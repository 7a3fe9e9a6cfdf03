"""Cross pseudo supervision by hand, and with CutMix."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mednoisy.errors import UserError
from mednoisy.methods.cps import CrossPseudoSupervision
from mednoisy.methods.ramp_up import StepRamp, weight_at
from mednoisy.methods.supervised import Supervised
from tests.methods.planted import Planted, batch_of, pixels, sigmoid
from tests.methods.small import gradients, small_batch, small_network, step_at


def middle(count, shape, generator):
    """Boxes around the centre, along every axis."""
    return [(slice(1, 3),) * len(shape)] * count


def cross_entropy(logits, labels) -> float:
    """Mean of -ln p of the label, two classes."""
    of_pixels = [-math.log(sigmoid(x if label else -x)) for x, label in zip(logits, labels, strict=True)]
    return sum(of_pixels) / len(of_pixels)


def test_four_pixels():
    """Each learns the other's classes: b, whose scale is negative, says the opposite of a."""
    method = CrossPseudoSupervision(Planted(1.0), Planted(-2.0), weight=0.3).train()
    values = (2, -1, 0.5, -3)
    losses = method(batch_of(pixels(values)), step_at())
    of_a, of_b = (losses[name]["cross"] for name in "ab")
    assert of_a[0] == of_b[0] == 0.3
    assert of_a[1].item() == pytest.approx(cross_entropy(values, (0, 1, 0, 1)), rel=1e-5)
    assert of_b[1].item() == pytest.approx(cross_entropy([-2 * x for x in values], (1, 0, 1, 0)), rel=1e-5)
    assert losses["a"]["disagreement"][1].item() == 1


def test_mixed_pixels():
    """With CutMix the other's labels of the weak views are mixed as the strong images are."""
    method = CrossPseudoSupervision(Planted(1.0), Planted(-1.0), weight=0.3, boxes=middle).train()
    strong, weak = pixels([1, 2, 3, 4], [-5, -6, -7, -8]), pixels([1, -1, 1, 1], [1, 1, -1, -1])
    losses = method(batch_of(strong, weak), step_at())
    mixed = (1, -6, -7, 4, -5, 2, 3, -8)
    of_b = (0, 0, 1, 0, 0, 1, 0, 1)  # not a's labels (1, 1, 0, 1) and (1, 0, 1, 0) of the mixed weak views
    assert losses["a"]["cross"][1].item() == pytest.approx(cross_entropy(mixed, of_b), rel=1e-5)
    of_a = [1 - label for label in of_b]
    assert losses["b"]["cross"][1].item() == pytest.approx(cross_entropy([-x for x in mixed], of_a), rel=1e-5)


def test_weights_of_the_first_and_last_step():
    """From .1 exp(-5) to .1, in stairs of 150 of 30,000 steps in the published form."""
    method = CrossPseudoSupervision(small_network(seed=1), small_network(seed=2))
    for ramp in (method.weight, StepRamp(zero_before=0)):
        assert weight_at(ramp, step_at(0, 30000)) == pytest.approx(0.1 * math.exp(-5))
        assert weight_at(ramp, step_at(30000, 30000)) == pytest.approx(0.1)


def test_without_cross_supervision_each_is_supervised():
    """With weight 0 a student's gradients are those of supervised learning."""
    batch, a, b = small_batch(), small_network(seed=1), small_network(seed=2)
    method = CrossPseudoSupervision(a, b, weight=0.0)
    for name, network in (("a", a), ("b", b)):
        for mine, theirs in zip(
            gradients(method, name, batch, step_at()),
            gradients(Supervised(network), "student", batch, step_at()),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs)


def test_one_network_is_deployed():
    """The first student, then the second and their mean."""
    method = CrossPseudoSupervision(small_network(seed=1), small_network(seed=2))
    assert list(method.predictors()) == ["a", "b", "mean"]


def test_equal_networks_are_refused():
    """Equal weights would stay equal; another structure is no copy."""
    for other in (small_network(seed=1), None):
        network = small_network(seed=1)
        with pytest.raises(ValueError, match="both networks have the same weights"):
            CrossPseudoSupervision(network, other or network)
    CrossPseudoSupervision(small_network(2, seed=1), small_network(3, seed=1))


def test_a_single_image_has_no_partner():
    batch = small_batch(crops=2)
    batch = replace(batch, unlabeled=batch.unlabeled[:1], unlabeled_weak=batch.unlabeled_weak[:1])
    method = CrossPseudoSupervision(small_network(seed=1), small_network(seed=2), boxes=middle)
    with pytest.raises(UserError, match=r"E122 a step has 1 unlabeled crop; .* Draw two or more unlabeled crops"):
        method(batch, step_at())
