"""Confidence and entropy at their ends, and dropout in a resting network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mednoisy.pseudo.confidence import dropout_on, labels_with_confidence, predictive_entropy


def test_label_and_probability():
    """Three classes with logits ln 1, ln 2, ln 5: the last one with 5/8; no gradient comes back."""
    logits = torch.tensor([1.0, 2.0, 5.0]).log().reshape(1, 3, 1).requires_grad_()
    labels, confidence = labels_with_confidence(logits)
    assert labels.tolist() == [[2]]
    assert confidence.item() == pytest.approx(5 / 8)
    assert not confidence.requires_grad


def test_confidence_in_low_precision_is_that_of_float32():
    logits = torch.tensor([3.0, 0.0]).reshape(1, 2, 1).bfloat16()
    assert labels_with_confidence(logits)[1].item() == pytest.approx(1 / (1 + math.exp(-3)), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_entropy_from_certain_to_undecided(classes):
    """0 for a certain voxel and ln K for an undecided one, in any number of dimensions."""
    certain = torch.zeros(2, classes, 3, 2, 2)
    certain[:, 1] = 1
    assert predictive_entropy(certain).shape == (2, 3, 2, 2)
    assert predictive_entropy(certain).abs().max().item() < 2e-6
    undecided = predictive_entropy(torch.full((1, classes, 4), 1 / classes))
    assert undecided.tolist()[0] == pytest.approx([math.log(classes)] * 4, abs=1e-5)


def test_dropout_alone_is_switched_on():
    """In a resting network dropout acts within, batch norm rests on; afterwards all is as before, also on errors."""
    network = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Dropout3d(), nn.Sequential(nn.Dropout())).eval()

    def fail_within() -> None:
        with dropout_on(network):
            assert [module.training for module in network.modules()] == [False, False, False, True, False, True]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_within()
    assert not any(module.training for module in network.modules())


def test_a_network_in_training_stays_in_it():
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    with dropout_on(network):
        pass
    assert all(module.training for module in network.modules())
