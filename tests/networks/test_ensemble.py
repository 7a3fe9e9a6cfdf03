"""The softmax of an ensemble is the mean of its members' softmax."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mednoisy.networks.ensemble import MeanEnsemble


def test_softmax_of_the_output_is_the_mean_of_the_members():
    members = [nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 1)]
    image = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([member(image).softmax(1) for member in members]).mean(0)
    output = MeanEnsemble(members)(image)
    torch.testing.assert_close(output.softmax(1), expected)
    torch.testing.assert_close(output.exp(), expected)


def test_three_to_one_and_one_to_one_make_five_to_three():
    class Fixed(nn.Module):
        def __init__(self, odds: float):
            super().__init__()
            self.odds = odds

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[math.log(self.odds), 0.0]])

    output = MeanEnsemble([Fixed(3.0), Fixed(1.0)])(torch.zeros(1))
    torch.testing.assert_close(output.exp(), torch.tensor([[5 / 8, 3 / 8]]))


def test_certain_members_that_disagree_stay_finite():
    class Certain(nn.Module):
        def __init__(self, logits: list[float]):
            super().__init__()
            self.logits = logits

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.tensor([self.logits])

    output = MeanEnsemble([Certain([500.0, -500.0]), Certain([-500.0, 500.0])])(torch.zeros(1))
    torch.testing.assert_close(output.exp(), torch.tensor([[0.5, 0.5]]))
    assert torch.isfinite(MeanEnsemble([Certain([500.0, -500.0])])(torch.zeros(1))).all()


def test_scripted_ensemble_gives_the_same():
    ensemble = MeanEnsemble([nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 3, padding=1)]).eval()
    image = torch.rand(1, 1, 4, 4)
    torch.testing.assert_close(torch.jit.script(ensemble)(image), ensemble(image))


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match="at least one member"):
        MeanEnsemble([])
