"""Means and differences over several trainings of one kind, where seeds and patients both vary.

Every seed is scored on the same patients, so the two are crossed: another patient would have been another one under
every seed, another seed another one for every patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from mednoisy.data.counter_based_random import Draw
from mednoisy.evaluation.resampling import (
    FEW_PATIENTS,
    RESAMPLES,
    Bounds,
    Interval,
    bootstrap_interval,
    mean_intervals,
    patient_numbers,
    resamples,
    sums_by_patient,
    within,
)
from mednoisy.evaluation.statistics import (
    SAME_DECIMALS,
    CaseClassValues,
    bounds_of,
    shared_values,
    signed_rank_p,
)
from mednoisy.evaluation.undefined_values import defined, mean_of_defined

SeededValues = Mapping[int, CaseClassValues]  # seed to the values of its run, one metric


@dataclass(frozen=True)
class SeedFigures:
    """A mean over seeds and cases, or a mean difference; None for what too few defined values leave open.

    Attributes:
        mean: over all defined pairs of case and seed.
        interval: its 95 % interval, patients and seeds being what varies; with one seed patients alone.
        of_seed: seed to the mean over its cases.
        p: of a difference, Wilcoxon's signed-rank test over patients, their differences averaged over seeds: it
            speaks of patients alone.
        patients: who have a defined value.
    """

    mean: float | None
    interval: Interval | None
    of_seed: Mapping[int, float]
    p: float | None
    patients: int


def mean_over_seeds(
    runs: SeededValues, metric: str, patient_of: Mapping[str, str] | None = None, seed: int = 0
) -> SeedFigures:
    """The mean of one row of a study over its seeds and the cases that all of them have, over classes.

    Args:
        runs: seed to values (`statistics.case_class_values`), one or more.
        metric: name of the metric.
        patient_of: case id to patient; a case that is not there is a patient of its own.
        seed: of the bootstrap.
    """
    cases = [case for case in _cases(next(iter(runs.values()))) if all(case in _cases(run) for run in runs.values())]
    columns = []
    for run in runs.values():
        of_run, values = shared_values([run])
        value_of = dict(zip(of_run, values[:, 0], strict=True))
        columns.append([value_of[case] for case in cases])
    table = np.array(columns, dtype=float).reshape(len(runs), len(cases)).T
    return _figures(table, list(runs), cases, patient_of, bounds_of(metric), seed, tested=False)


def difference_over_seeds(
    baseline: SeededValues,
    other: SeededValues,
    metric: str,
    patient_of: Mapping[str, str] | None = None,
    seed: int = 0,
) -> SeedFigures:
    """How far `other` is above `baseline` under the seeds that both have, on the cases that all their runs have.

    A seed's two runs are compared on the classes that both have defined.

    Args:
        baseline, other: seed to values (`statistics.case_class_values`), with a seed in common.
        metric, patient_of, seed: as for `mean_over_seeds`.

    Raises:
        ValueError: no seed in common.
    """
    seeds = [number for number in baseline if number in other]
    if not seeds:
        raise ValueError(f"seeds {list(baseline)} and {list(other)} have none in common")
    gap_of: list[dict[str, float]] = []
    for number in seeds:
        of_pair, values = shared_values([baseline[number], other[number]])
        gaps = np.round(values[:, 1] - values[:, 0], SAME_DECIMALS)
        gap_of.append(dict(zip(of_pair, gaps.tolist(), strict=True)))
    cases = [case for case in gap_of[0] if all(case in gaps for gaps in gap_of)]
    table = np.array([[gaps[case] for gaps in gap_of] for case in cases], dtype=float).reshape(len(cases), len(seeds))
    return _figures(table, seeds, cases, patient_of, bounds_of(metric, difference=True), seed, tested=True)


def crossed_interval(table: np.ndarray, patients: np.ndarray, bounds: Bounds, seed: int) -> Interval | None:
    """The 95 % interval of a mean over cases and seeds; None of fewer than two patients.

    Hierarchical bootstrap: a resample draws as many patients as there are, with all their cases, and as many seeds,
    each with replacement and independently, and takes the mean over what it drew; every drawn patient is seen under
    every drawn seed. Percentiles are expanded as in `resampling.bootstrap_interval`. Where the seeds' means vary more
    than the patients' (their own variances of the mean are compared), or there are fewer than `FEW_PATIENTS`, a few
    values cannot be resampled: then Student's t with the sum of both variances and Satterthwaite's degrees of freedom.
    One seed leaves patients alone (`resampling.mean_intervals`).

    Args:
        table: (cases, seeds), NaN where undefined.
        patients: of `patient_numbers`, (cases,).
        bounds: beyond which no mean can be.
        seed: of the bootstrap.

    Source: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), for rows and columns resampled
    independently; Satterthwaite 1946, Biometrics Bulletin 2(6). The sum of both variances counts what patients and
    seeds have only together twice, so it errs to the long side.
    """
    if table.shape[1] == 1:
        return mean_intervals([table[:, 0]], [patients], [bounds], seed)[0]
    totals, counts = sums_by_patient(table, patients)
    known = int(np.count_nonzero(counts.sum(axis=1)))
    if known < 2:
        return None
    rest = totals - totals.sum() / counts.sum() * counts
    of_patients, of_seeds = (_variance(rest.sum(axis=axis), counts.sum(axis=axis)) for axis in (1, 0))
    if known < FEW_PATIENTS or of_seeds > of_patients:
        return within(
            _t_interval(totals.sum() / counts.sum(), (of_patients, of_seeds), (known, table.shape[1])), bounds
        )
    seeds = (
        Draw(seed, "bootstrap of seeds", 0)
        .generator()
        .multinomial(table.shape[1], np.full(table.shape[1], 1 / table.shape[1]), size=RESAMPLES)
    )
    blocks = list(resamples(len(totals), seed))
    ends = np.cumsum([0, *(len(block) for block in blocks)])
    sums = [
        [((times @ part) * seeds[start:end]).sum(axis=1) for part in (totals, counts)]
        for times, (start, end) in zip(blocks, pairwise(ends), strict=True)
    ]
    drawn_totals, drawn_counts = np.concatenate(sums, axis=1)
    drawn = drawn_counts > 0
    return within(bootstrap_interval(drawn_totals[drawn] / drawn_counts[drawn], known), bounds)


def _variance(rest: np.ndarray, counts: np.ndarray) -> float:
    """Of the mean, from what each patient's (or seed's) sum is above its share, (N,), and how many values it has."""
    known = int(np.count_nonzero(counts))
    return known / (known - 1) * float(np.sum(rest**2)) / float(counts.sum()) ** 2 if known > 1 else 0.0


def _t_interval(mean: float, variances: tuple[float, float], numbers: tuple[int, int]) -> Interval:
    """By Student's t, of variances of the mean that so many patients and so many seeds gave."""
    below = sum(variance**2 / (number - 1) for variance, number in zip(variances, numbers, strict=True))
    if not below:
        return float(mean), float(mean)
    freedom = sum(variances) ** 2 / below
    reach = float(stats.t.ppf(0.975, freedom)) * math.sqrt(sum(variances))
    return float(mean) - reach, float(mean) + reach


def _figures(
    table: np.ndarray,
    seeds: Sequence[int],
    cases: Sequence[str],
    patient_of: Mapping[str, str] | None,
    bounds: Bounds,
    seed: int,
    *,
    tested: bool,
) -> SeedFigures:
    """Figures of values (cases, seeds)."""
    patients = patient_numbers(cases, patient_of)
    known = defined(table)
    if not known.size:
        return SeedFigures(None, None, {}, None, 0)
    over_seeds = mean_of_defined(table)
    means = mean_of_defined(table.T)
    return SeedFigures(
        mean=float(known.mean()),
        interval=crossed_interval(table, patients, bounds, seed),
        of_seed={number: float(mean) for number, mean in zip(seeds, means, strict=True) if not math.isnan(mean)},
        p=signed_rank_p(over_seeds, patients) if tested else None,
        patients=len(set(patients[~np.isnan(over_seeds)].tolist())),
    )


def _cases(run: CaseClassValues) -> dict[str, None]:
    """The cases of a run, in order."""
    return dict.fromkeys(case for case, _ in run)
