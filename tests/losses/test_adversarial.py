"""Adversarial losses: values worked out by hand, and who gains by which score."""

from __future__ import annotations

import pytest
import torch

from mednoisy.losses.adversarial import (
    least_squares_fooling,
    least_squares_judging,
    loss_sensitive_fooling,
    loss_sensitive_judging,
)


def test_least_squares_by_hand():
    """((0.9-1)^2 + (0.7-1)^2) / 2 = 0.05 for what is real, (0.2^2 + 0.4^2) / 2 = 0.1 for what is generated."""
    real, generated = torch.tensor([0.9, 0.7]), torch.tensor([0.2, 0.4])
    assert least_squares_judging(real, generated).item() == pytest.approx((0.05 + 0.1) / 2, abs=1e-7)
    assert least_squares_fooling(generated).item() == pytest.approx((0.64 + 0.36) / 2, abs=1e-7)


def test_loss_sensitive_by_hand():
    """Losses 0.1 and 0.3; the first pair lacks 0.9 - (0.9 - 0.2) = 0.2, the second exceeds 0.1 already."""
    real, generated, gaps = torch.tensor([0.9, 0.7]), torch.tensor([0.2, 0.4]), torch.tensor([0.9, 0.1])
    assert loss_sensitive_judging(real, generated, gaps).item() == pytest.approx(0.2 + 0.1, abs=1e-6)
    assert loss_sensitive_judging(real, generated, gaps, weight=3.0).item() == pytest.approx(0.2 + 0.3, abs=1e-6)
    assert loss_sensitive_fooling(generated).item() == pytest.approx(0.7, abs=1e-7)


@pytest.mark.parametrize("judging", [least_squares_judging, lambda r, g: loss_sensitive_judging(r, g, (r - g).abs())])
def test_who_tells_all_apart_loses_nothing(judging):
    assert judging(torch.ones(3), torch.zeros(3)).item() == 0
    half = torch.full((3,), 0.5)
    assert judging(half, half).item() > 0.2


@pytest.mark.parametrize("fooling", [least_squares_fooling, loss_sensitive_fooling])
def test_a_generator_gains_by_higher_scores(fooling):
    scores = torch.tensor([0.2, 0.8, 1.0], requires_grad=True)
    fooling(scores).backward()
    assert fooling(torch.ones(3)).item() == 0
    assert scores.grad[0] < 0
    assert scores.grad[1] < 0


def test_scores_of_16_bits_are_reckoned_in_32():
    scores = torch.full((1000,), 0.9, dtype=torch.bfloat16)
    assert least_squares_fooling(scores).dtype == torch.float32
