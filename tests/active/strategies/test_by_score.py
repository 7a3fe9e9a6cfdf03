"""Strategies that see what a network makes of the cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mednoisy.active.catalogue import choose
from mednoisy.active.pool import Batch, Pick, query_draw
from mednoisy.active.strategies.ceal import ceal
from tests.active.planted import groups, pool

DRAW = query_draw(0, 0)
RISING = np.linspace(0.01, 1, 100)


def indices(picks: list[Pick]) -> list[int]:
    return [pick.index for pick in picks]


@pytest.mark.parametrize("name", ["entropy", "margin", "bald", "variance", "disagreement"])
def test_the_most_uncertain_come_first(name):
    assert indices(choose(pool(uncertainty=RISING), name, 3, DRAW)) == [99, 98, 97]


def test_power_draws_by_uncertainty():
    """At beta 1 a case is drawn first with the probability of its share of all uncertainty: 1/6, 2/6, 3/6."""
    three = pool(uncertainty=np.array([1.0, 2.0, 3.0]))
    firsts = [choose(three, "power_entropy", 1, query_draw(0, number))[0].index for number in range(1200)]
    np.testing.assert_allclose(np.bincount(firsts) / 1200, [1 / 6, 2 / 6, 3 / 6], atol=0.06)


def test_stochastic_batches_take_a_random_group():
    """With 100 cases and 10 of them, the best of ten random groups has a mean above the pool's, far below the top's."""
    picks = choose(pool(uncertainty=RISING), "stochastic_batches", 10, DRAW)
    mean = RISING[indices(picks)].mean()
    assert RISING.mean() < mean < RISING[-10:].mean() - 0.1
    order = DRAW.generator("groups").permutation(100).reshape(10, 10)
    assert mean == pytest.approx(max(RISING[group].mean() for group in order))


def test_of_the_uncertain_the_most_different():
    """The eight most uncertain of 48 lie in two groups, four in each: two are chosen, one of each."""
    features, group = groups()
    uncertainty = np.full(48, 0.1)
    uncertainty[[0, 1, 2, 3, 20, 21, 22, 23]] = np.linspace(0.9, 0.8, 8)
    picks = choose(pool(features=features, uncertainty=uncertainty), "uncertain_and_different", 2, DRAW)
    assert sorted(group[indices(picks)]) == [0, 1]


@pytest.mark.parametrize("apart", [0.0, 1e-4])
def test_near_duplicates_among_the_most_uncertain_leave_room_for_others(apart):
    """The eight most uncertain show the same thing, to a ten thousandth: one of them is chosen, and the next one."""
    features = np.arange(20.0)[:, None]
    features[:8] = apart * np.arange(8)[:, None]
    picks = choose(pool(features=features, uncertainty=RISING[19::-1]), "uncertain_and_different", 2, DRAW)
    assert indices(picks)[0] < 8
    assert indices(picks)[1] == 8


def test_clasp_pe_shares_the_budget_between_classes():
    """Of 12, 8 thirds go to two classes; late noise of beta 100 is small, so planted scores win."""
    scores = np.full((60, 3), 1e-3)
    scores[0:10, 0] = np.linspace(0.9, 0.8, 10)
    scores[20:30, 1] = np.linspace(0.9, 0.8, 10)
    scores[40:50, 2] = np.linspace(0.9, 0.8, 10)
    picks = choose(pool(class_uncertainty=scores, round=4, rounds=5), "clasp_pe", 12, DRAW)
    parts = np.bincount(np.array(indices(picks)) // 20, minlength=3)
    assert parts[0] == 12 - int(0.66 * 12)
    assert sorted(parts[1:]) == [3, 4]  # 7 over two classes


def test_clasp_pe_s_noise_fades():
    """Beta is 1, 3.16, 10 and 31.6 in the four queries of five trainings."""
    scores = np.random.default_rng(0).random((40, 3)) + 0.1
    told = [choose(pool(class_uncertainty=scores, round=t, rounds=5), "clasp_pe", 4, DRAW)[0].reason for t in range(4)]
    assert [text.split("beta ")[1] for text in told] == ["1", "3.16", "10", "31.6"]


def test_badge_takes_large_and_different_gradients():
    """Three directions, of each twenty gradients as good as equal; the longest is that of case 25."""
    gradients = np.repeat(np.eye(3), 20, axis=0) + 1e-6 * np.arange(60)[:, None]
    gradients[25] *= 1.001
    picks = indices(choose(pool(gradients=gradients), "badge", 3, DRAW))
    assert picks[0] == 25
    assert sorted(index // 20 for index in picks) == [0, 1, 2]


def test_badge_goes_on_by_length_where_all_gradients_were_seen():
    """Two gradients in six cases, 0 of two of which: what is nowhere else is drawn first, then the longest."""
    gradients = np.array([[3.0, 0], [3, 0], [0, 0], [3, 0], [0, 0], [3, 0]])
    picks = indices(choose(pool(gradients=gradients), "badge", 5, DRAW))
    assert picks[0] == 0
    assert picks[1] in (2, 4)
    assert picks[2:] == [1, 3, 5]


def test_ceal_takes_sure_unsure_and_some_between():
    many = pool(uncertainty=RISING)
    picks = ceal(many, Batch(many, 35), DRAW)
    chosen = np.array(indices(picks))
    assert set(range(10)) <= set(chosen)
    assert set(range(90, 100)) <= set(chosen)
    assert len(chosen) == 35
    assert ((chosen >= 10) & (chosen < 90)).sum() >= 14


def test_foreground_aware_random_opens_what_shows_a_class():
    """Ten of a thousand cases show something: by chance hardly one of five is such a case, by foreground most are."""
    foreground = np.zeros((1000, 2))
    foreground[:5, 0], foreground[5:10, 1] = 100, 1
    few = pool(foreground=foreground)
    shares = {
        name: np.mean([pick.index < 10 for number in range(60) for pick in choose(few, name, 5, query_draw(0, number))])
        for name in ("random", "foreground_random_33", "foreground_random_66")
    }
    assert shares["random"] < 0.05
    assert shares["foreground_random_33"] == pytest.approx(1 / 3, abs=0.11)
    assert shares["foreground_random_66"] == pytest.approx(2 / 3, abs=0.11)


def test_a_rare_class_is_drawn_as_often_as_a_frequent_one():
    foreground = np.zeros((100, 2))
    foreground[:50, 0], foreground[50, 1] = 100, 1
    firsts = [
        choose(pool(foreground=foreground), "predicted_foreground_random", 1, query_draw(0, number))[0].index
        for number in range(600)
    ]
    assert np.mean(np.array(firsts) == 50) == pytest.approx(1 / 3, abs=0.08)


def test_uncertainty_needs_no_features():
    few = replace(pool(uncertainty=RISING), features=None)
    assert indices(choose(few, "entropy", 1, DRAW)) == [99]
