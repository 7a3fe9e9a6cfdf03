"""What a batch takes and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.active.catalogue import STRATEGIES, choose
from mednoisy.active.pool import Batch, query_draw
from mednoisy.errors import UserError
from tests.active.planted import groups, pool

DRAW = query_draw(0, 0)


def everything(count: int = 40) -> dict:
    """All that any strategy needs, of distinct cases."""
    generator = np.random.default_rng(1)
    return {
        "features": generator.normal(size=(count, 6)).astype(np.float32),
        "uncertainty": generator.random(count),
        "class_uncertainty": generator.random((count, 3)),
        "gradients": generator.normal(size=(count, 5)),
        "foreground": generator.integers(0, 50, (count, 2)),
    }


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_gives_as_many_distinct_cases_the_same_again(name):
    one = choose(pool(**everything()), name, 7, DRAW)
    assert len({pick.id for pick in one}) == 7
    assert one == choose(pool(**everything()), name, 7, DRAW)
    assert all(np.isfinite(pick.score) and pick.reason for pick in one)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_takes_two_cases_of_a_patient(name):
    patients = [f"p{number // 4}" for number in range(40)]
    picks = choose(pool(**everything(), patients=patients), name, 10, DRAW)
    assert len({patients[pick.index] for pick in picks}) == 10


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_takes_near_duplicates(name):
    fields = everything(20)
    doubled = {key: np.repeat(values, 2, axis=0) for key, values in fields.items()}
    picks = choose(pool(**doubled), name, 20, DRAW)
    assert len({pick.index // 2 for pick in picks}) == 20


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_whole_pool_can_be_asked_for(name):
    picks = choose(pool(**everything(9)), name, 9, DRAW)
    assert sorted(pick.index for pick in picks) == list(range(9))


@pytest.mark.parametrize("name", [name for name, entry in STRATEGIES.items() if entry.needs])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda values: None, "needs"),
        (lambda values: np.zeros_like(values), "which tell none from another"),
        (lambda values: np.where(np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1)) == 3, np.nan, values),
         r"case 'c03': its .* are not finite numbers"),
    ],
)  # fmt: skip
def test_what_tells_nothing_is_refused(name, damage, told):
    fields = everything()
    for needed in STRATEGIES[name].needs:
        fields[needed] = damage(fields[needed].astype(float))
    with pytest.raises(UserError, match=rf"E393.*{told}"):
        choose(pool(40, **fields), name, 5, DRAW)


@pytest.mark.parametrize("budget", [0, 41])
def test_a_budget_beyond_the_pool_is_refused(budget):
    with pytest.raises(UserError, match=r"E394 .* Ask for 1 to 40"):
        choose(pool(**everything()), "random", budget, DRAW)


def test_too_few_different_cases_are_told_and_may_be_allowed():
    features, _ = groups((10, 10), spread=1e-5)
    same = pool(features=features)
    with pytest.raises(UserError, match=r"E394 only 2 of 5 .* Ask for 2, or allow them with --duplicates"):
        choose(same, "random", 5, DRAW)
    assert len(choose(same, "random", 5, DRAW, duplicates=True)) == 5
    patients = pool(20, patients=["a", "b"] * 10)
    with pytest.raises(UserError, match="E394 only 2 of 5"):
        choose(patients, "random", 5, DRAW)
    assert len(choose(patients, "random", 5, DRAW, same_patient=True)) == 5


def test_an_unknown_strategy_is_told():
    with pytest.raises(UserError, match=r"E395 unknown strategy 'kcentre'\. Did you mean 'kcenter'"):
        choose(pool(**everything()), "kcentre", 5, DRAW)


def test_rows_of_another_pool_are_no_user_s_fault():
    with pytest.raises(ValueError, match="3 rows of features for 40 cases"):
        choose(pool(40, features=np.eye(3)), "kcenter", 5, DRAW)


def test_a_batch_takes_a_case_once():
    batch = Batch(pool(3), 2)
    assert batch.offer(1, 0.5, "why")
    assert not batch.offer(1, 0.5, "why")
    assert not batch.full
    assert batch.offer(0, 0.5, "why")
    assert not batch.offer(2, 0.5, "why")  # it is full
