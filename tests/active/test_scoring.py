"""Who is asked about a case, and what follows from the answers: planted uncertainty is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from mednoisy.active.members import Members, chosen_members, dropouts
from mednoisy.active.pool import query_draw
from mednoisy.active.scoring import Scorer, checked_pooling, scored
from mednoisy.errors import UserError
from mednoisy.inference.sliding_window import SlidingWindow
from tests.active.test_features import Doubling, inferer

DRAW = query_draw(0, 0)


class Certain(nn.Module):
    """Logits (0, gain x image): undecided where the image is 0, certain of class 1 where it is large."""

    def __init__(self, gain: float = 1.0, dropout: float = 0.0, side: float = 0.0):
        super().__init__()
        self.gain, self.dropout, self.side = gain, nn.Dropout(dropout), side

    def forward(self, image):
        logits = self.gain * self.dropout(image)
        if self.side:
            columns = torch.arange(image.shape[-1]) * self.side
            logits = logits + columns
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


def asked(network: nn.Module, kind: str = "deployed", **more) -> Members:
    return Members(kind, {"deployed": network}, DRAW, **more)


def test_planted_uncertainty_is_found():
    """Half of the image undecided: mean entropy is half of ln 2, the top 5 % are at ln 2."""
    image = torch.full((1, 8, 8), 50.0)
    image[:, :4] = 0
    members = asked(Certain()).probabilities(image, inferer(8, 8), "a")
    assert members.shape == (1, 2, 8, 8)
    assert scored(members, "entropy", "mean")["uncertainty"] == pytest.approx(math.log(2) / 2, abs=1e-6)
    assert scored(members, "entropy", "top_share")["uncertainty"] == pytest.approx(math.log(2), abs=1e-6)
    assert scored(members, "entropy", "over_foreground")["uncertainty"] == pytest.approx(0, abs=1e-6)
    rows = scored(members, "entropy", "mean")
    assert rows["foreground"].tolist() == [32]
    np.testing.assert_allclose(rows["class_uncertainty"], [math.log(2) / 2, math.log(2) / 4], rtol=1e-5)


def test_students_that_disagree_in_a_quarter_score_a_quarter():
    image = torch.ones(1, 8, 8)
    image[:, :4, :4] = -1  # one of the two turns it round
    networks = {"a": Certain(9.0), "b": Folding(9.0)}
    members = Members("students", networks, DRAW).probabilities(image, inferer(8, 8), "a")
    assert scored(members, "disagreement", "mean")["uncertainty"] == pytest.approx(0.25)


class Folding(Certain):
    def forward(self, image):
        return super().forward(image.abs())


def test_passes_with_dropout_follow_from_draw_and_case_alone():
    network = Certain(3.0, dropout=0.5)
    image = torch.ones(1, 8, 8)
    members = asked(network, "dropout", passes=4)
    first = members.probabilities(image, inferer(8, 8), "a")
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    assert torch.equal(members.probabilities(image, inferer(8, 8), "a"), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(members.probabilities(image, inferer(8, 8), "b"), first)
    other = Members("dropout", {"deployed": network}, query_draw(0, 1), passes=4)
    assert not torch.equal(other.probabilities(image, inferer(8, 8), "a"), first)
    assert scored(first, "bald", "mean")["uncertainty"] > 0.01
    assert not network.dropout.training


def test_flips_come_back_in_place():
    """What does not depend on place is the same flipped or not; a network that sees columns differs from itself."""
    image = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0))
    same = asked(Certain(), "flips").probabilities(image, inferer(8, 8), "a")
    assert same.shape[0] == 3
    assert torch.allclose(same, same[:1].expand_as(same))
    sided = asked(Certain(side=0.5), "flips").probabilities(image, inferer(8, 8), "a")
    assert torch.allclose(sided[0], sided[1])  # flipped rows
    assert not torch.allclose(sided[0], sided[2])


@pytest.mark.parametrize(
    ("kind", "score", "peers", "dropout", "found"),
    [
        (None, "entropy", {}, 0.5, "deployed"),
        (None, "entropy", {"students": 2}, 0.5, "students"),
        (None, "entropy", {"students": 1}, 0.5, "deployed"),
        (None, "bald", {"folds": 3}, 0.5, "folds"),
        (None, "bald", {"students": 1}, 0.5, "dropout"),
        (None, "variance", {}, 0.5, "dropout"),
        ("flips", "disagreement", {}, 0.0, "flips"),
        ("dropout", "entropy", {"students": 2}, 0.5, "dropout"),
    ],
)
def test_who_is_asked_without_a_wish(kind, score, peers, dropout, found):
    network = Certain(dropout=dropout)
    named = {name: {str(n): Certain() for n in range(count)} for name, count in peers.items()}
    assert chosen_members(kind, score, network, named, DRAW).kind == found


@pytest.mark.parametrize(
    ("kind", "score", "dropout", "told"),
    [
        (None, "disagreement", 0.5, "E514 disagreement compares two students or folds.*--method sdcl or --folds"),
        (None, "bald", 0.0, "E514 bald needs dropout.*--members flips, --strategy entropy"),
        ("dropout", "bald", 0.0, "E514 the run's network has no dropout"),
        ("students", "entropy", 0.5, "E514 the run has not several students.*--members dropout or flips"),
        ("folds", "entropy", 0.0, "E514 the run has not several folds.*--members flips"),
        ("deployed", "variance", 0.5, "E514 variance compares several opinions"),
        ("twins", "entropy", 0.5, "E515 unknown --members 'twins'"),
    ],
)
def test_members_that_a_run_has_not_are_refused(kind, score, dropout, told):
    with pytest.raises(UserError, match=told):
        chosen_members(kind, score, Certain(dropout=dropout), {"students": {"a": Certain()}}, DRAW)


def test_dropout_of_probability_0_is_none():
    assert dropouts(Certain(dropout=0.0)) == []


def test_a_scorer_gives_the_fields_that_are_asked_for():
    network = Doubling()
    scorer = Scorer("entropy", network, asked(network), SlidingWindow((8, 8), (8, 8)))
    image = torch.ones(1, 8, 8)
    rows = scorer.rows(image, "a", ("features", "uncertainty", "gradients"))
    assert list(rows) == ["features", "uncertainty", "gradients"]
    assert rows["features"].tolist() == [2.0]
    assert rows["gradients"].shape == (2,)
    probabilities, entropy = scorer.maps(image, "a")
    assert probabilities.shape == (2, 8, 8)
    assert float(entropy.mean()) == pytest.approx(float(rows["uncertainty"]))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UserError, match=r"E515 unknown --pooling 'meen'\. Did you mean 'mean'"):
        checked_pooling("meen")
    assert checked_pooling(None) == "mean"
