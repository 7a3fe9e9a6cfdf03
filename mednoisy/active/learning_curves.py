"""What a curve of Dice against labels comes to: its area, its last value, its efficiency, who beats whom. No torch.

The metrics of nnActive (Lüth et al., TMLR 2025, arXiv:2511.19183).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

Values = Sequence[float] | np.ndarray
SIGNIFICANT = 0.05  # of the two-sided t-test that one strategy beats another in a round
STEEPEST = 1e3  # times the span of the labels: a curve that bends faster than that has reached its end at once
NEAR_FULL = 0.99  # of the Dice of all labels, above which no strategy can show what it is worth
NEGLIGIBLE = 1e-9  # difference of Dice that is rounding


def area_under_curve(dices: Values) -> float:
    """Mean Dice over the rounds by the trapezoid rule, rounds being spaced evenly from 0 to 1, the start included.

    A single round is its own area. NaN where any of the values is undefined.

    Examples:
        >>> area_under_curve([0.5, 0.7, 0.8])
        0.675
    """
    values = np.asarray(dices, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"a curve has one value a round, got the shape {values.shape}")
    if values.size == 1:
        return float(values[0])
    return float(np.trapezoid(values, dx=1 / (values.size - 1)))


def foreground_efficiency(
    foreground: Values, dices: Values, full: float, start: float, first: float | None = None
) -> float | None:
    """How fast Dice nears that of all labels per share of the pool's foreground that was annotated; higher is better.

    The g of y = full - (full - start) exp(-g (x - first)), fitted by least squares; all else is given, so that
    strategies with the same `full`, `start` and `first` compare. Infinite where the first step reaches the end.

    Args:
        foreground: annotated foreground voxels as a share of the pool's, of all rounds and seeds of a strategy.
        dices: as many values; pairs with one that is undefined are left out.
        full: Dice of a training of the same length on all labels.
        start: mean Dice at the start over all strategies.
        first: the smallest share over all strategies; None for that of `foreground`.

    Returns:
        g, below 0 where Dice falls. None where nothing can be fitted: the start is as good as all labels (0.99 of
        their Dice), one of the given values is undefined, or no more was annotated than at the start.
    """
    x, y = np.asarray(foreground, float), np.asarray(dices, float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} shares of foreground for {y.shape} values of Dice")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    gap = full - start
    if not x.size or not start < NEAR_FULL * full:  # NaN included
        return None
    beyond = x - (x.min() if first is None else first)
    span = float(beyond.max())
    if not span > 0:
        return None
    left = (full - y) / gap  # of the way to all labels: 1 at the start, 0 at the end

    def error(steepness: float) -> float:
        return float(((left - np.exp(-steepness * beyond / span)) ** 2).sum())

    lowest = -math.log(max(left.max(), 1.0)) - 1.0  # Dice that falls no deeper than the worst of it
    tried = np.concatenate([np.linspace(lowest, 0, 20, endpoint=False), np.geomspace(1e-4, STEEPEST, 200)])
    errors = [error(one) for one in tried]
    best = int(np.argmin(errors))
    at_once = float(((left - (beyond <= 0)) ** 2).sum())
    if best == len(tried) - 1 or at_once <= errors[best] + NEGLIGIBLE**2:
        return math.inf
    bounds = tried[max(best - 1, 0)], tried[best + 1]
    found = optimize.minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return float(found.x) / span


@dataclass(frozen=True)
class PenaltyMatrix:
    """How often one strategy was beaten by another, in per cent of the rounds of all settings.

    Attributes:
        strategies: the order of rows and columns.
        beaten: (S, S), in [0, 100]; [i, j] is how often strategy i was significantly better than j.
        settings, seeds: how many there were, of seeds the fewest; a test of few seeds finds little.
    """

    strategies: tuple[str, ...]
    beaten: np.ndarray
    settings: int
    seeds: int

    @property
    def penalties(self) -> np.ndarray:
        """(S), in [0, 100]: how often a strategy was beaten, mean over the others; lower is better."""
        return self.beaten.sum(axis=0) / max(len(self.strategies) - 1, 1)


def penalty_matrix(settings: Sequence[Mapping[str, np.ndarray]]) -> PenaltyMatrix | None:
    """The pairwise penalty matrix of strategies that share seeds and rounds.

    In each round the differences between two strategies, paired by seed, are tested against 0 (two-sided t-test, p <
    0.05); a win counts 1 / number of rounds, and settings are averaged. An undefined value takes its seed out of that
    round's test. Differences that are the same under all seeds, and not 0, are a win.

    Args:
        settings: of each (a training method, a dataset), strategy to Dice (seeds, rounds); only strategies that are
            in all of them are compared.

    Returns:
        None of fewer than two strategies or seeds, or of no round: nothing can be tested.

    Raises:
        ValueError: strategies of a setting differ in seeds or rounds.
    """
    if not settings:
        return None
    names = tuple(name for name in settings[0] if all(name in of for of in settings))
    tables = [np.stack([np.asarray(of[name], float) for name in names]) if names else None for of in settings]
    seeds = min((table.shape[1] for table in tables if table is not None), default=0)
    rounds = min((table.shape[2] for table in tables if table is not None), default=0)
    if len(names) < 2 or seeds < 2 or not rounds:
        return None
    beaten = np.zeros((len(names), len(names)))
    for table in tables:
        assert table is not None  # there are names
        rounds = table.shape[2]
        for winner in range(len(names)):
            for loser in range(len(names)):
                gaps = table[winner] - table[loser]
                wins = sum(_above_zero(gaps[:, number]) for number in range(rounds))
                beaten[winner, loser] += 100 * wins / rounds / len(tables)
    return PenaltyMatrix(names, beaten, len(tables), seeds)


def _above_zero(gaps: np.ndarray) -> bool:
    """Whether the mean of differences is above 0 at the level of the test."""
    known = gaps[np.isfinite(gaps)]
    if known.size < 2 or known.mean() <= NEGLIGIBLE:
        return False
    return p_of_mean(known) < SIGNIFICANT


def p_of_mean(gaps: np.ndarray) -> float:
    """Two-sided p of Student's t-test that a mean of two or more values is 0; 0 of equal values other than 0."""
    if np.ptp(gaps) <= NEGLIGIBLE:
        return 1.0 if abs(gaps.mean()) <= NEGLIGIBLE else 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are nearly equal
        return float(stats.ttest_1samp(gaps, 0).pvalue)


@dataclass(frozen=True)
class OverSeeds:
    """A mean over seeds; None for what too few defined values leave open.

    Attributes:
        mean: over the seeds with a defined value.
        interval: 95 %, by Student's t over seeds: another seed is another start, another network, another draw;
            patients are the same.
        seeds: how many have one.
        p: of a difference, two-sided t-test over seeds.
    """

    mean: float | None
    interval: tuple[float, float] | None
    seeds: int
    p: float | None = None


def over_seeds(values: Values, bounds: tuple[float, float] = (0.0, 1.0)) -> OverSeeds:
    """Mean and interval of values, one a seed, NaN where undefined; the interval is cut to `bounds`.

    Examples:
        >>> over_seeds([0.6, 0.8]).mean
        0.7
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not known.size:
        return OverSeeds(None, None, 0)
    mean = float(known.mean())
    if known.size == 1:
        return OverSeeds(mean, None, 1)
    reach = float(stats.t.ppf(0.975, known.size - 1) * known.std(ddof=1) / math.sqrt(known.size))
    return OverSeeds(mean, (max(mean - reach, bounds[0]), min(mean + reach, bounds[1])), known.size, p_of_mean(known))
