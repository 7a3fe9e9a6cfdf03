"""Which study a client is given."""

from __future__ import annotations

import pytest

from mednoisy.active.pool import Pick
from mednoisy.errors import UserError
from mednoisy.monai_label import selection
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.leases import Leases
from mednoisy.monai_label.orders import answerable, read_order, write_order
from mednoisy.monai_label.scoring import rank_wanted
from mednoisy.monai_label.selection import UNRANKED, Selection
from tests.monai_label.conftest import SETTINGS


@pytest.fixture
def wanted(monkeypatch) -> list[tuple[str, int]]:
    """Rankings that were asked for, none of which is made."""
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(selection, "want", lambda place, strategy, number=0: asked.append((strategy, number)))
    return asked


def picks(*names: str) -> list[Pick]:
    return [Pick(0, name, 0.5, f"because of {name}") for name in names]


def test_the_ranking_is_followed_and_each_client_has_its_own(place, wanted):
    write_order(place, "cold", "random", 0, picks("c", "a"))
    chosen = Selection(place, Leases(place, 60))
    assert chosen.next("random", "x") == {"id": "c", "reason": "because of c", "remarks": []}
    assert chosen.next("random", "y")["id"] == "a"
    assert chosen.next("random", "x")["id"] == "c"  # until its label is saved
    assert wanted == []
    assert chosen.next("random", "x", skip=True)["reason"] == UNRANKED
    assert wanted == [("random", 1)]  # the ranking is used up
    assert chosen.next("random", "z") is None


def test_clients_without_a_name_never_share_a_study(place, wanted):
    chosen = Selection(place, Leases(place, 60))
    assert sorted(chosen.next("random")["id"] for _ in range(3)) == ["a", "b", "c"]
    assert chosen.next("random") is None


def test_before_the_first_network_random_chooses_in_place_of_what_needs_one(place, wanted):
    chosen = Selection(place, Leases(place, 60)).next("entropy", "x")
    assert chosen["remarks"][0] == "No network has been trained yet, so random chooses in place of entropy."
    assert wanted == [("random", 0)]


def test_features_of_a_pretext_are_used_before_the_first_network(place):
    (place.pretext / "run").mkdir(parents=True)
    (place.pretext / "run" / "report.html").write_text("")
    assert answerable(place, SETTINGS, "kcenter") == ("kcenter", "")
    assert answerable(place, SETTINGS, "entropy")[0] == "typiclust"


def test_until_studies_are_ranked_an_earlier_ranking_counts(place, wanted):
    write_order(place, "1", "entropy", 0, picks("b"))
    Deployed(2, (1,), "").write(place)
    found = Selection(place, Leases(place, 60)).next("entropy", "x")
    assert found["id"] == "b"
    assert found["remarks"] == [
        "Studies are being ranked by entropy: 0 of 0 are scored. Until then an earlier ranking counts."
    ]
    assert wanted == [("entropy", 0)]


def test_a_strategy_that_this_network_cannot_answer_says_why(place, wanted):
    Deployed(1, (), "").write(place)
    fault = UserError("E514", "disagreement compares two students", "Train with sdcl")
    write_order(place, "1", "disagreement", 0, [], fault)
    with pytest.raises(UserError, match=r"^E514 disagreement compares two students. Train with sdcl."):
        Selection(place, Leases(place, 60)).next("disagreement", "x")
    with pytest.raises(UserError, match=r"^E395 unknown strategy 'foreground_random_66'"):
        Selection(place, Leases(place, 60)).next("foreground_random_66", "x")
    with pytest.raises(UserError, match=r"^E395 unknown strategy"):
        Selection(place, Leases(place, 60)).next("best", "x")


def test_studies_that_are_away_are_not_ranked_and_unreadable_ones_are_told(place):
    """Cold, at random, as the process of its own does it."""
    Leases(place, 60).take_first("x", ["a"])
    (place.studies / "b.nii.gz").write_bytes(b"junk")
    rank_wanted(place)
    order = read_order(place, "cold", "random")
    assert order is not None
    assert {pick["id"] for pick in order.picks} <= {"c"}
