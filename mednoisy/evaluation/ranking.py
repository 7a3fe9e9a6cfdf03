"""Several runs set against one another on one metric: every pair tested, and a ranking with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from mednoisy.evaluation.metrics import HIGHER_IS_BETTER, VOLUMES, Row
from mednoisy.evaluation.resampling import patient_numbers, resamples, sums_by_patient
from mednoisy.evaluation.statistics import SAME_DECIMALS, case_class_values, paired_differences, shared_values


def compare(
    runs: Mapping[str, Sequence[Row]], metric: str, patient_of: Mapping[str, str] | None = None, seed: int = 0
) -> dict:
    """Differences of every two runs, and their order by mean with how far other patients would change it.

    A run that predicts nothing in a case has no distance there, so its own mean lacks its worst case and looks
    better than it is. Nothing here uses such means: a pair is compared on the cases, and within them the classes,
    that both have defined, the ranking on those that all runs have. `left_out` says how many cases that costs.

    Args:
        runs: name to rows as `read_metrics` gives them, of one predictor of one checkpoint each.
        metric: one that has a better side: overlaps (higher) or distances (lower), not volumes.
        patient_of: case id to patient; a case that is not there is a patient of its own.
        seed: of the bootstrap.

    Returns:
        Ready for JSON:

        - `metric`; `cases` and `patients`, how many the ranking uses; `left_out`, cases of any run that it does not;
          `missed` of `shared` pairs of case and class that all runs have are not defined in all of them;
        - `pairs`: for every two runs in the given order `baseline`, `other`, what `paired_difference` gives, and
          `p_holm`, its p corrected for all pairs together (None where p is);
        - `ranking`, best first, empty where no case is shared: `run`, `mean`, `rank` (runs of equal mean share
          their mean rank), and over resamples of the patients `rank_interval` (95 %, percentile method), `shares` (how
          often it has rank 1, 2, ...; equal means share the ranks that they hold together) and `first` (how often
          rank 1). These three are None with one patient, whom resampling cannot change;
        - `stability`: mean Kendall tau-b between the ranking and the resampled ones, 1 if no resample changes it;
          a resample that puts all runs level counts 0. None with fewer than 2 runs or patients, or all runs level.

    Raises:
        ValueError: no runs, or a metric without a better side.
    """
    if not runs or metric in VOLUMES:
        raise ValueError(f"{len(runs)} runs cannot be ranked by {metric!r}; give runs and an overlap or a distance")
    of_run = {name: case_class_values(rows, metric) for name, rows in runs.items()}
    names = list(combinations(of_run, 2))
    pairs = [(of_run[before], of_run[after]) for before, after in names]
    differences = paired_differences(pairs, metric, patient_of, seed)
    corrected = holm([difference["p"] for difference in differences])
    cases, shared = shared_values(list(of_run.values()))
    used = ~np.isnan(shared).any(axis=1)
    values = shared[used]
    patients = patient_numbers([case for case, is_used in zip(cases, used, strict=True) if is_used], patient_of)
    in_all = set.intersection(*(set(run) for run in of_run.values()))
    everywhere = {case for run in of_run.values() for case, _ in run}
    ranking, stability = _rank(list(runs), values, patients, 1 if HIGHER_IS_BETTER.get(metric) else -1, seed)
    return {
        "metric": metric,
        "cases": len(values),
        "patients": len(set(patients.tolist())),
        "left_out": len(everywhere) - len(values),
        "missed": sum(any(math.isnan(run[key]) for run in of_run.values()) for key in in_all),
        "shared": len(in_all),
        "pairs": [
            {"baseline": before, "other": after, **difference, "p_holm": p}
            for (before, after), difference, p in zip(names, differences, corrected, strict=True)
        ],
        "ranking": ranking,
        "stability": stability,
    }


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """P values corrected so that the chance of any false finding among all of them stays at the level.

    Step-down of Holm (1979): the k-th smallest of m is multiplied by m - k + 1, made no smaller than the one before
    and at most 1. None stays None and is not counted, as no test was made.
    """
    places = [place for place, p in enumerate(probabilities) if p is not None]
    given = np.array([probabilities[place] for place in places], dtype=float)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(given.size, 0, -1)).clip(max=1)
    corrected: list[float | None] = [None] * len(probabilities)
    for number, p in zip(order, steps, strict=True):
        corrected[places[number]] = float(p)
    return corrected


def _rank(
    names: list[str], values: np.ndarray, patients: np.ndarray, sign: int, seed: int
) -> tuple[list[dict], float | None]:
    """The ranking and its stability from values (cases, runs) without gaps and the cases' patients (cases,)."""
    if not len(values):
        return [], None
    means = values.mean(axis=0)
    ranks = _ranks(sign * means)
    ranking: list[dict] = [
        {"run": name, "mean": float(mean), "rank": float(rank), "rank_interval": None, "first": None, "shares": None}
        for name, mean, rank in zip(names, means, ranks, strict=True)
    ]
    stability = None
    totals, counts = sums_by_patient(values, patients)
    if len(totals) > 1:
        resampled = np.concatenate([(times @ totals) / (times @ counts) for times in resamples(len(totals), seed)])
        lines = _ranks(sign * resampled)
        # A percentile that is a rank, not a point between two
        ends = np.quantile(lines, (0.025, 0.975), axis=0, method="inverted_cdf")
        shares = _shares(sign * resampled)
        for number, entry in enumerate(ranking):
            entry["rank_interval"] = [float(end) for end in ends[:, number]]
            entry["shares"] = [float(share) for share in shares[number]]
            entry["first"] = entry["shares"][0]
        stability = _stability(ranks, lines)
    return sorted(ranking, key=lambda entry: entry["rank"]), stability


def _ranks(scores: np.ndarray, ties: str = "average") -> np.ndarray:
    """Ranks along the last axis, the highest score first."""
    return stats.rankdata(-np.round(scores, SAME_DECIMALS), method=ties, axis=-1)


def _shares(scores: np.ndarray) -> np.ndarray:
    """Of scores (resamples, runs), how often each run has each rank (runs, ranks); ties hold theirs together."""
    best, worst = _ranks(scores, "min"), _ranks(scores, "max")
    each = 1 / (worst - best + 1)
    places = range(1, scores.shape[1] + 1)
    return np.stack([np.mean(each * ((best <= rank) & (rank <= worst)), axis=0) for rank in places], axis=1)


def _stability(ranks: np.ndarray, resampled: np.ndarray) -> float | None:
    """Mean Kendall tau-b (Kendall 1945) between ranks (runs,) and each line of resampled ranks (resamples, runs).

    All lines at once, as one call of `scipy.stats.kendalltau` for each would take a second.
    """
    one, other = np.triu_indices(ranks.size, 1)
    order = np.sign(ranks[one] - ranks[other])
    if not order.any():
        return None
    orders = np.sign(resampled[:, one] - resampled[:, other])
    untied = np.count_nonzero(order) * np.count_nonzero(orders, axis=1)
    return float(np.mean(orders @ order / np.sqrt(np.maximum(untied, 1))))
