"""Rows of a simulation as curves: what is paired, what is undefined, what is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mednoisy.active.simulated_curves import COSTS, MethodCurves, curves_of, penalties


def row(strategy: str, seed: int, number: int, dice: float, name: str = "m") -> dict[str, Any]:
    """Of a training with 1 + number labels of a pool of 10."""
    costs = dict.fromkeys(COSTS, 1 + number) | {"foreground_share": (1 + number) / 10}
    return {
        "name": name,
        "strategy": strategy,
        "seed": seed,
        "round": number,
        "dice": dice,
        "processor_seconds": 60.0,
        **costs,
    }


def rows_of(curves: dict[str, list[list[float]]], name: str = "m") -> list[dict[str, Any]]:
    """Of curves (seeds, rounds) by strategy."""
    return [
        row(strategy, seed, number, dice, name)
        for strategy, table in curves.items()
        for seed, values in enumerate(table)
        for number, dice in enumerate(values)
    ]


def method(curves: dict[str, list[list[float]]], full: list[float] | None = None) -> MethodCurves:
    rounds = max(len(values) for table in curves.values() for values in table) - 1
    upper = [row("all_labels", seed, 9, dice) for seed, dice in enumerate(full or [])]
    (found,) = curves_of(rows_of(curves), {"m": upper}, rounds)
    return found


def test_areas_costs_and_gains_are_paired_by_seed():
    found = method({"random": [[0.5, 0.6, 0.7], [0.4, 0.5, 0.6]], "entropy": [[0.5, 0.8, 0.7], [0.4, 0.5, 0.8]]})
    assert found.curves["random"].areas() == pytest.approx({0: 0.6, 1: 0.5})
    assert found.curves["entropy"].areas() == pytest.approx({0: 0.7, 1: 0.55})
    gain = found.gain("entropy", "random")
    assert gain.mean == pytest.approx(0.075)
    assert gain.interval == pytest.approx((0.075 - 12.7062 * 0.025, 0.075 + 12.7062 * 0.025), abs=1e-4)
    assert found.curves["random"].at(1).mean == pytest.approx(0.55)
    assert found.curves["random"].cost("patients", 2) == 3
    assert found.curves["random"].processor_seconds.sum() == 6 * 60


def test_what_is_not_finished_is_undefined():
    found = method({"random": [[0.5, 0.6, 0.7], [0.4]], "entropy": [[0.5], [0.4, 0.5, math.nan]]})
    assert math.isnan(found.curves["random"].areas()[1])
    assert found.gain("entropy", "random").mean is None
    assert found.curves["entropy"].finished.tolist() == [[True, False, False], [True, True, True]]
    assert found.curves["entropy"].at(2).mean is None


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        (["random", "foreground_random_33", "foreground_random_66"], "foreground_random_66"),
        (["random", "foreground_random_33"], "foreground_random_33"),
        (["entropy", "random"], "random"),
        (["entropy"], None),
    ],
)
def test_the_baseline_is_the_hardest_random_strategy(strategies, expected):
    assert method({name: [[0.5, 0.6]] for name in strategies}).baseline == expected


def test_efficiencies_are_those_of_planted_curves():
    """With the same start and the same end, a curve that is twice as steep is twice as efficient."""
    share = np.array([0.1, 0.2, 0.3, 0.4])
    curves = {f"g{g}": [list(0.9 - 0.4 * np.exp(-g * (share - 0.1)))] * 2 for g in (2, 4)}
    found = method(curves, full=[0.88, 0.92]).efficiencies()
    assert found == pytest.approx({"g2": 2, "g4": 4}, rel=1e-4)
    assert method(curves).efficiencies() == {"g2": None, "g4": None}  # all labels are not trained yet


def test_distance_from_all_labels_and_rounds_that_are_too_near():
    found = method({"random": [[0.5, 0.6, 0.8]], "entropy": [[0.5, 0.795, 0.79]]}, full=[0.8])
    assert found.left_to_full("entropy").mean == pytest.approx(0.01)
    assert found.near_full() == [1, 2]
    assert method({"random": [[0.5, 0.9]]}).near_full() == []


def test_penalties_take_the_seeds_that_all_strategies_have_finished():
    """The third seed, in which the other one wins, is not finished and not counted."""
    curves = {
        "random": [[0.5, 0.6], [0.5, 0.6], [0.5, 0.9]],
        "entropy": [[0.5, 0.7], [0.5, 0.7], [0.5]],
    }
    matrix = penalties([method(curves)])
    assert matrix is not None
    assert matrix.seeds == 2
    assert matrix.beaten.tolist() == [[0, 0], [100, 0]]  # in the one round; the start is shared and no round
    assert penalties([method({"random": [[0.5, 0.6]], "entropy": [[0.5]]})]) is None


def test_what_is_better_in_all_three_rounds_under_all_seeds_wins_all():
    curves = {"random": [[0.5, 0.6, 0.6, 0.6]] * 3, "entropy": [[0.5, 0.7, 0.8, 0.9]] * 3}
    matrix = penalties([method(curves)])
    assert matrix is not None
    assert matrix.beaten.tolist() == [[0, 0], [100, 0]]
    assert matrix.penalties.tolist() == [100, 0]
