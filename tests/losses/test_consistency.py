"""The consistency cost against the authors' figures."""

from __future__ import annotations

import pytest
import torch

from mednoisy.losses.consistency import squared_gap
from tests.losses.figures import Figures


def test_published_value_and_gradient(golden):
    """Mean squared difference of probabilities, towards the teacher's."""
    figures = Figures(golden("losses_3d_two_class.npz"))
    target = torch.softmax(figures.logits("teacher"), dim=1)
    figures.check("consistency_mse_mean", lambda logits: squared_gap(logits, target))


def test_opposite_and_equal_predictions():
    """Certain and opposite predictions are 1 apart, equal ones 0, and an empty batch costs nothing."""
    logits = torch.tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).permute(1, 0, 2)
    assert squared_gap(logits, torch.softmax(-logits, dim=1)).item() == pytest.approx(1)
    assert squared_gap(logits, torch.softmax(logits, dim=1)).item() == 0
    assert squared_gap(torch.zeros(0, 2, 3), torch.zeros(0, 2, 3)).item() == 0


def test_the_target_learns_nothing():
    """No gradient flows into the target."""
    target = torch.full((1, 2, 3), 0.5, requires_grad=True)
    squared_gap(torch.randn(1, 2, 3, requires_grad=True), target).backward()
    assert target.grad is None
