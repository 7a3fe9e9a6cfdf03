"""Maps of uncertainty of predictions whose uncertainty is known."""

from __future__ import annotations

import math

import pytest
import torch

from mednoisy.active.uncertainty_maps import MAPS, POOLINGS, class_uncertainty, gradient_embedding

SURE = torch.tensor([[1.0, 0.0]])  # (M, K) of one voxel
HALF = torch.tensor([[0.5, 0.5]])
OPPOSED = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def of_voxel(name: str, members: torch.Tensor) -> float:
    return float(MAPS[name](members[..., None, None])[0, 0])


@pytest.mark.parametrize(
    ("name", "sure", "half", "opposed"),
    [
        ("entropy", 0, math.log(2), math.log(2)),
        ("margin", 0, 1, 1),
        ("bald", 0, 0, math.log(2)),
        ("variance", 0, 0, 0.25),
    ],
)
def test_of_one_voxel(name, sure, half, opposed):
    """Members that are each sure of another class are uncertain together; BALD and variance tell that from doubt."""
    for members, wanted in ((SURE, sure), (HALF, half), (OPPOSED, opposed)):
        assert of_voxel(name, members) == pytest.approx(wanted, abs=1e-6)


def test_disagreement_is_the_share_of_pairs():
    classes = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 2]), 3).float()
    assert of_voxel("disagreement", classes) == pytest.approx(5 / 6)
    assert of_voxel("disagreement", OPPOSED) == 1
    assert of_voxel("disagreement", OPPOSED[[0, 0]]) == 0


def test_poolings_of_a_map():
    scores = torch.zeros(10, 10)
    scores[0, :5], scores[5, :5] = 1.0, 0.5
    labels = torch.zeros(10, 10, dtype=torch.uint8)
    labels[5] = 2
    pooled = {name: rule(scores, labels) for name, rule in POOLINGS.items()}
    assert pooled == pytest.approx({"mean": 0.075, "top_share": 1.0, "over_foreground": 0.25})
    assert POOLINGS["over_foreground"](scores, 0 * labels) == pytest.approx(0.075)


def test_class_uncertainty_weighs_by_probability():
    """Two voxels, one sure, one between the classes 0 and 1: half of ln 2, a quarter of it in class 1, none in 2."""
    members = torch.tensor([[[1.0, 0.5], [0.0, 0.5], [0.0, 0.0]]])
    assert class_uncertainty(members).tolist() == pytest.approx([math.log(2) / 2, math.log(2) / 4, 0])


def test_gradient_embedding_has_a_block_a_predicted_class():
    """Two voxels predicted as class 0 with .6 and 1.0, features 1 and 2: mean of (.6 - 1) x 1 and 0 x 2."""
    probabilities = torch.tensor([[0.6, 1.0], [0.4, 0.0]])
    features = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    assert gradient_embedding(probabilities, features).tolist() == pytest.approx([-0.2, 0, 0, 0])
