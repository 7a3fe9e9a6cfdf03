"""The rows of a simulation as curves, and strategies compared by them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mednoisy.active.learning_curves import (
    NEAR_FULL,
    OverSeeds,
    PenaltyMatrix,
    area_under_curve,
    foreground_efficiency,
    over_seeds,
    penalty_matrix,
)

RANDOM = "random"
AWARE = ("foreground_random_66", "foreground_random_33")  # the hardest to beat first
COSTS = ("patients", "cases", "slices", "foreground_voxels", "foreground_share")
DIFFERENCE = (-1.0, 1.0)  # what a difference of Dice can be


@dataclass(frozen=True)
class Curve:
    """A strategy under a method: Dice of each seed after each round, the start included.

    Attributes:
        seeds: those with any training, in order.
        dice: (seeds, rounds + 1), NaN where a training is not finished or its Dice undefined.
        finished: (seeds, rounds + 1), bool.
        costs: by name (`COSTS`), (seeds, rounds + 1), NaN where not finished.
        processor_seconds: of training, (seeds, rounds + 1).
    """

    strategy: str
    seeds: tuple[int, ...]
    dice: np.ndarray
    finished: np.ndarray
    costs: Mapping[str, np.ndarray]
    processor_seconds: np.ndarray

    def areas(self) -> dict[int, float]:
        """Area under the curve of each seed; NaN of one that is not finished to the end."""
        return {seed: area_under_curve(values) for seed, values in zip(self.seeds, self.dice, strict=True)}

    def last(self) -> dict[int, float]:
        """Dice of each seed after the last round."""
        return dict(zip(self.seeds, self.dice[:, -1].tolist(), strict=True))

    def at(self, number: int) -> OverSeeds:
        """Dice after a round, over the seeds that have it."""
        return over_seeds(self.dice[:, number])

    def cost(self, name: str, number: int) -> float | None:
        """Of a round, mean over seeds."""
        return over_seeds(self.costs[name][:, number], (0, np.inf)).mean


@dataclass(frozen=True)
class MethodCurves:
    """All strategies under one method.

    Attributes:
        name: of the method with its recipe and settings.
        curves: by strategy.
        full: seed to Dice of the training on all labels.
        full_cost: `COSTS` of all labels; empty where that is not trained yet.
    """

    name: str
    curves: Mapping[str, Curve]
    full: Mapping[int, float]
    full_cost: Mapping[str, float]

    @property
    def baseline(self) -> str | None:
        """The foreground-aware random strategy to compare with; random where there is none of these."""
        return next((name for name in (*AWARE, RANDOM) if name in self.curves), None)

    def gain(self, strategy: str, rival: str) -> OverSeeds:
        """How far the area under a curve is above another's, paired by seed."""
        ours, theirs = self.curves[strategy].areas(), self.curves[rival].areas()
        return over_seeds([ours[seed] - theirs[seed] for seed in ours if seed in theirs], DIFFERENCE)

    def left_to_full(self, strategy: str) -> OverSeeds:
        """Dice of all labels less Dice after the last round, paired by seed."""
        last = self.curves[strategy].last()
        return over_seeds([self.full[seed] - last[seed] for seed in last if seed in self.full], DIFFERENCE)

    def efficiencies(self) -> dict[str, float | None]:
        """Foreground efficiency of each strategy, all seeds and rounds together."""
        full = over_seeds(list(self.full.values())).mean
        starts = over_seeds([value for curve in self.curves.values() for value in curve.dice[:, 0]]).mean
        shares = [curve.costs["foreground_share"] for curve in self.curves.values()]
        known = [share[np.isfinite(share)] for share in shares]
        if full is None or starts is None or not any(part.size for part in known):
            return dict.fromkeys(self.curves)
        first = min(float(part.min()) for part in known if part.size)
        return {
            name: foreground_efficiency(
                curve.costs["foreground_share"].ravel(), curve.dice.ravel(), full, starts, first
            )
            for name, curve in self.curves.items()
        }

    def near_full(self) -> list[int]:
        """Rounds after which some strategy's mean Dice is above 0.99 of that of all labels."""
        full = over_seeds(list(self.full.values())).mean
        if full is None or not self.curves:
            return []
        rounds = next(iter(self.curves.values())).dice.shape[1]
        means = [[curve.at(number).mean or 0.0 for curve in self.curves.values()] for number in range(rounds)]
        return [number for number in range(rounds) if max(means[number]) > NEAR_FULL * full]


def curves_of(
    rows: Sequence[Mapping[str, Any]], all_labels: Mapping[str, Sequence[Mapping]], rounds: int
) -> list[MethodCurves]:
    """The curves of a simulation, by method in the order of its rows.

    Args:
        rows: of `rows.csv` (`strategy`, `name` of the method, `seed`, `round`, `COSTS`, `dice`,
            `processor_seconds`), a shared start repeated for each strategy.
        all_labels: name of a method to the rows of the training on all labels that it is compared with.
        rounds: after the start.
    """
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    found = []
    for name in names:
        members = [row for row in rows if row["name"] == name]
        strategies = list(dict.fromkeys(str(row["strategy"]) for row in members))
        curves = {s: _curve(s, [row for row in members if row["strategy"] == s], rounds) for s in strategies}
        upper = all_labels.get(name, ())
        full = {int(row["seed"]): float(row["dice"]) for row in upper}
        cost = {key: float(upper[0][key]) for key in COSTS} if upper else {}
        found.append(MethodCurves(name, curves, full, cost))
    return found


def penalties(methods: Sequence[MethodCurves]) -> PenaltyMatrix | None:
    """The penalty matrix over all methods, each a setting, of the seeds that are finished under all strategies.

    The start, which all strategies share and none can win, is no round of it.
    """
    settings = []
    for method in methods:
        done = [
            {seed for seed, row in zip(curve.seeds, curve.finished, strict=True) if row.all()}
            for curve in method.curves.values()
        ]
        shared = sorted(set.intersection(*done)) if done else []
        settings.append(
            {
                name: curve.dice[[curve.seeds.index(seed) for seed in shared], 1:]
                for name, curve in method.curves.items()
            }
        )
    return penalty_matrix(settings)


def _curve(strategy: str, rows: Sequence[Mapping[str, Any]], rounds: int) -> Curve:
    seeds = tuple(dict.fromkeys(int(row["seed"]) for row in rows))
    shape = len(seeds), rounds + 1
    dice, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    finished, costs = np.zeros(shape, bool), {name: np.full(shape, np.nan) for name in COSTS}
    for row in rows:
        place = seeds.index(int(row["seed"])), int(row["round"])
        dice[place], finished[place] = row["dice"], True
        seconds[place] = np.nan if row["processor_seconds"] is None else row["processor_seconds"]
        for name in COSTS:
            costs[name][place] = row[name]
    return Curve(strategy, seeds, dice, finished, costs, seconds)
