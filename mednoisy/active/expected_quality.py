"""The Dice to expect of a prediction that has no reference, from how far several predictors agree on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import beta

from mednoisy.errors import UserError

LINE_FROM = 10  # calibration cases from which on a line is fitted instead of a shift
LEAST = 3  # patients to calibrate by without whom there is no interval
ROUNDING = 1e-9  # of shares that add up to a whole number
UNLUCKY = 0.05  # of calibrations: `least_held` tells what the others keep


def agreement(labels: Sequence[np.ndarray], code: int) -> float:
    """Mean Dice of a class over all pairs of predictions, in [0, 1]; two that both lack it agree.

    In a comparison on five volumetric datasets under shift the best detector of failures (Zenk et al., Medical Image
    Analysis 2025, arXiv:2406.03323). Predictors that learned from one another agree too often; `Calibration` sees to
    that as far as it is the same for all cases.

    Args:
        labels: two or more label maps of one case.
        code: of the class.
    """
    masks = [np.asarray(one) == code for one in labels]
    if len(masks) < 2:
        raise ValueError("agreement needs two predictions")
    sizes = [int(np.count_nonzero(mask)) for mask in masks]
    dices = []
    for first, second in combinations(range(len(masks)), 2):
        total = sizes[first] + sizes[second]
        common = int(np.count_nonzero(masks[first] & masks[second]))
        dices.append(2 * common / total if total else 1.0)
    return float(np.mean(dices))


@dataclass(frozen=True)
class Expected:
    """A Dice that is expected, and an interval of which `cover` says how often such intervals hold the truth."""

    dice: float
    low: float | None
    high: float | None
    cover: str

    def __str__(self) -> str:
        """In percent, such as `81.2 (70.1 to 92.3 in 8 of 9)`."""
        told = (
            self.cover
            if self.low is None or self.high is None
            else (f"{100 * self.low:.1f} to {100 * self.high:.1f} in {self.cover}")
        )
        return f"{100 * self.dice:.1f} ({told})"


@dataclass(frozen=True)
class Calibration:
    """From agreement to Dice, learned from cases whose Dice is known and that no predictor was trained on.

    Below ten cases the estimate is the agreement, shifted by its mean error; from ten on a line, which falls back to
    the shift where it would fall. The interval is of split conformal prediction: with n patients of one case each the
    k-th smallest error, k = ceil((n + 1) x wanted) and at most n, covers k in n + 1 new cases, whatever the errors'
    distribution; 8 cases can claim 8 of 9 and no more. Of a patient with c cases each error counts 1 / c, and the
    smallest error is taken up to which they add up to (n + 1) x wanted or to all n: with k for their sum, perhaps with
    a fraction, it covers k in n + 1 of a case each of n + 1 patients (Lee, Barber and Willett 2023, arXiv:2306.06342),
    where counting two volumes of a heart as two cases covers too little.
    Errors are left-one-out: each of a patient whom the others calibrate (a jackknife, which falls short of the claim by
    as much as one patient moves the line).

    What is claimed is a mean over calibrations by patients drawn as the new ones are; `least_held` tells what one of
    few patients keeps. Nothing holds where the new cases are of another kind: chosen by a query, of another scanner.

    Attributes:
        slope, offset: expected Dice = slope x agreement + offset, cut to [0, 1].
        errors: sorted absolute errors, each on a case of a patient who was left out.
        shares: of each error, one over the cases of its patient.
        wanted: the share of intervals that should hold the truth.
    """

    slope: float
    offset: float
    errors: tuple[float, ...]
    shares: tuple[float, ...]
    wanted: float = 0.9

    @classmethod
    def fitted(
        cls,
        agreements: Sequence[float],
        dices: Sequence[float],
        patients: Sequence[str] | None = None,
        wanted: float = 0.9,
    ) -> Calibration:
        """Of cases with known Dice; those whose Dice is undefined (NaN) are left out.

        Args:
            patients: whom each case shows; None: each another.

        Raises:
            UserError: E396, no case is left.
        """
        known = np.isfinite(np.asarray(dices, float))
        x, y = np.asarray(agreements, float)[known], np.asarray(dices, float)[known]
        whose = np.arange(len(known)) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
        whose = whose[known]
        if not len(x):
            cause = "no case with a reference that the networks have not seen tells how good their agreement is"
            raise UserError("E396", cause, "Train with --folds, or drop --expected-dice")
        slope, offset = _line(x, y)
        errors: list[tuple[float, float]] = []
        for patient in np.unique(whose):
            mine = whose == patient
            if mine.all():
                break
            line = _line(x[~mine], y[~mine])
            errors += [
                (abs(dice - _cut(*line, agreed)), 1 / mine.sum()) for agreed, dice in zip(x[mine], y[mine], strict=True)
            ]
        errors.sort()
        return cls(slope, offset, tuple(float(e) for e, _ in errors), tuple(float(s) for _, s in errors), wanted)

    @property
    def patients(self) -> int:
        """How many there are to calibrate by."""
        return round(sum(self.shares))

    def expected(self, agreement: float) -> Expected:
        """Of a case whose agreement is known."""
        dice = _cut(self.slope, self.offset, agreement)
        count = self.patients
        if count < LEAST:
            return Expected(dice, None, None, f"no interval: {len(self.errors)} calibration cases tell too little")
        sums = np.cumsum(self.shares)
        row = int(np.searchsorted(sums, min((count + 1) * self.wanted, count) - ROUNDING))
        error, rank = self.errors[row], np.floor(10 * (sums[row] + ROUNDING)) / 10
        return Expected(dice, max(dice - error, 0.0), min(dice + error, 1.0), f"{rank:g} of {count + 1}")


def least_held(cover: str) -> float | None:
    """The share of new cases that intervals hold in 19 of 20 calibrations of that size at least; None without one.

    The k-th of n errors holds a share that is distributed as Beta(k, n + 1 - k) over calibrations: "8 of 9" is a mean,
    and one of 20 such calibrations by 8 patients keeps less than 69 %, however many cases follow.

    Examples:
        >>> round(least_held("8 of 9"), 2), round(least_held("19 of 21"), 2)
        (0.69, 0.78)
    """
    if not (found := re.fullmatch(r"(\d+\.?\d*) of (\d+)", cover)):
        return None
    rank, of = float(found[1]), int(found[2])
    return float(beta(rank, of - rank).ppf(UNLUCKY))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset: least squares from ten cases on and where that rises, else a shift."""
    if len(x) >= LINE_FROM and np.ptp(x) > 0:
        slope, offset = np.polyfit(x, y, 1)
        if slope > 0:
            return float(slope), float(offset)
    return 1.0, float((y - x).mean())


def _cut(slope: float, offset: float, agreement: float) -> float:
    return float(np.clip(slope * agreement + offset, 0, 1))


def area_under_risk_coverage(confidences: Sequence[float], dices: Sequence[float]) -> dict[str, float]:
    """How well confidences tell good predictions from bad: mean over coverages of the risk 1 - Dice of the surest.

    Returns:
        `aurc`; `random` and `optimal`, those of confidences that know nothing and everything; `normalised`, (random -
        aurc) / (random - optimal): 1 is perfect, 0 as good as chance, NaN where all cases are equally good.
    """
    risks = 1 - np.asarray(dices, float)
    order = np.argsort(-np.asarray(confidences, float), kind="stable")

    def area(sorted_risks: np.ndarray) -> float:
        return float((np.cumsum(sorted_risks) / np.arange(1, len(risks) + 1)).mean())

    figures = {"aurc": area(risks[order]), "random": float(risks.mean()), "optimal": area(np.sort(risks))}
    gap = figures["random"] - figures["optimal"]
    return figures | {"normalised": (figures["random"] - figures["aurc"]) / gap if gap > 1e-12 else float("nan")}


def worst_first(expected: Mapping[str, Expected]) -> list[str]:
    """Ids of cases by the Dice to expect, lowest first; of equal ones by id."""
    return sorted(expected, key=lambda case: (expected[case].dice, case))
