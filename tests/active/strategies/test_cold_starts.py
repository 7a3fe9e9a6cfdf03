"""Strategies that see features alone, on planted groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mednoisy.active.catalogue import COLD, choose
from mednoisy.active.pool import Batch, query_draw
from mednoisy.active.strategies.clusters import clusters
from mednoisy.errors import UserError
from tests.active.planted import CENTRES, groups, pool

DRAW = query_draw(0, 0)


def test_they_are_known():
    assert COLD == ("random", "clusters", "typiclust", "probcover", "kcenter")


@pytest.mark.parametrize("name", ["clusters", "typiclust", "probcover", "kcenter"])
def test_one_case_of_each_planted_group(name):
    features, group = groups()
    picks = choose(pool(features=features), name, 4, DRAW)
    assert sorted(group[pick.index] for pick in picks) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["clusters", "typiclust", "probcover", "kcenter"])
def test_groups_that_have_labels_come_last(name):
    features, group = groups()
    labeled = CENTRES[[0, 3]] + 0.1
    picks = choose(pool(features=features, labeled=labeled), name, 2, DRAW)
    assert sorted(group[pick.index] for pick in picks) == [1, 2]


@pytest.mark.parametrize("name", ["clusters", "typiclust"])
def test_the_middle_of_a_group_is_typical(name):
    """The first case of each planted group is its very middle; `typiclust` looks at neighbours, and comes near it."""
    features, group = groups()
    for pick in choose(pool(features=features), name, 4, DRAW):
        assert np.linalg.norm(features[pick.index] - CENTRES[group[pick.index]]) < (1e-3 if name == "clusters" else 0.5)


def test_clusters_share_the_budget_by_their_sizes():
    """24 of 48 cases from groups of 20, 12, 8 and 8: 10, 6, 4 and 4."""
    features, group = groups()
    small = pool(features=features)
    picks = clusters(small, Batch(small, 24, duplicates=True), DRAW, number=4)
    assert np.bincount([group[pick.index] for pick in picks]).tolist() == [10, 6, 4, 4]
    for number in range(4):  # the nearest to the centre, no other
        mine = np.flatnonzero(group == number)
        centre = features[mine].mean(axis=0)
        order = mine[np.argsort(np.linalg.norm(features[mine] - centre, axis=1))]
        chosen = {pick.index for pick in picks if group[pick.index] == number}
        assert chosen == set(order[: len(chosen)].tolist())


def test_typiclust_begins_with_the_largest_group():
    features, group = groups()
    assert [group[pick.index] for pick in choose(pool(features=features), "typiclust", 4, DRAW)][:2] == [0, 1]


def test_typiclust_takes_small_clusters_last():
    """A large group of one patient, and a lone case that is a cluster too small to be taken first."""
    features = np.concatenate([groups((30,))[0], [[100.0, 100.0]]])
    few = replace(pool(features=features), patients=["p"] * 30 + ["q"])
    assert [pick.index for pick in choose(few, "typiclust", 2, DRAW)][1] == 30
    with pytest.raises(UserError, match="E394 only 2 of 3 cases are neither near-duplicates nor of one patient"):
        choose(few, "typiclust", 3, DRAW)


def test_probcover_covers_most_first():
    features, group = groups()
    picks = choose(pool(features=features), "probcover", 4, DRAW)
    assert [group[pick.index] for pick in picks][:2] == [0, 1]
    assert [pick.score for pick in picks] == sorted((pick.score for pick in picks), reverse=True)


def test_kcenter_goes_to_the_corners():
    """On a line 0, 1, ..., 10 the middle comes first, then the ends, then the middles of the halves."""
    line = np.arange(11.0)[:, None]
    picks = choose(pool(features=line), "kcenter", 5, DRAW)
    assert [pick.index for pick in picks] == [5, 0, 10, 2, 7]
    assert [pick.score for pick in picks[1:]] == [5, 5, 2, 2]


def test_random_cases_differ_by_draw_and_are_uniform():
    few = pool(10)
    counts = np.zeros(10)
    for number in range(600):
        for pick in choose(few, "random", 3, query_draw(0, number)):
            counts[pick.index] += 1
    assert abs(counts / 600 - 0.3).max() < 0.075  # four standard deviations
