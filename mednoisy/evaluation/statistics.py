"""What the metrics of many cases say together: means with intervals, and differences between runs.

Everywhere an undefined value (NaN) is counted and left out, never scored. Where there are several classes, the
value of a case "over classes" is the mean of its defined classes; runs are compared on the classes of a case that
all of them have defined, so that a run gains nothing by missing a class altogether. Means are over cases; what is
resampled and tested are patients (`resampling`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.metrics import DISTANCES, HIGHER_IS_BETTER, TEXT_COLUMNS
from mednoisy.evaluation.resampling import (
    UNBOUNDED,
    Bounds,
    Interval,
    mean_intervals,
    patient_means,
    patient_numbers,
)
from mednoisy.evaluation.undefined_values import defined, mean_of_defined

NOT_METRICS = (*TEXT_COLUMNS, "class")
SAME_DECIMALS = 10  # decimals up to which two means are one: far below any reading, above the rounding of sums

CaseClassValues = Mapping[tuple[str, int], float]  # (case, class code) to the value of one metric


def summarise(
    rows: Iterable[Mapping],
    patient_of: Mapping[str, str] | None = None,
    diagonal_of: Mapping[str, float] | None = None,
    seed: int = 0,
) -> PredictorFigures:
    """Mean, spread and interval of every metric, per class and over classes.

    Args:
        rows: one for each case and class, as `read_metrics` gives them, of one predictor of one checkpoint. A
            metric that any row lacks (an older table beside a newer one) is left out.
        patient_of: case id to patient; a case that is not there is a patient of its own.
        diagonal_of: case id to the diagonal of its image, for the penalised mean of distances; without those of the
            cases that miss something there is none.
        seed: of the bootstrap.
    """
    rows = list(rows)
    metrics = [name for name in (rows[0] if rows else ()) if name not in NOT_METRICS]
    metrics = [name for name in metrics if all(name in row for row in rows)]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    classes = sorted({row["class"] for row in rows})
    patients = patient_numbers(cases, patient_of)
    tables = {metric: _table(case_class_values(rows, metric), cases, classes) for metric in metrics}
    penalised = {
        metric: _penalised(tables[metric], tables["dice"], cases, diagonal_of or {})
        for metric in metrics
        if metric in DISTANCES and "dice" in tables
    }
    columns = {(metric, code): tables[metric][:, place] for metric in metrics for place, code in enumerate(classes)}
    columns |= {(metric, None): mean_of_defined(tables[metric]) for metric in metrics}
    bounds = [bounds_of(metric) for metric, _ in columns]
    intervals = mean_intervals(list(columns.values()), [patients] * len(columns), bounds, seed)
    figures = {
        key: _figures(values, interval, patients)
        for (key, values), interval in zip(columns.items(), intervals, strict=True)
    }
    for metric, table in penalised.items():
        for place, code in enumerate(classes):
            of_class = None if table is None else table[:, [place]]
            figures[metric, code] = replace(figures[metric, code], penalised=_mean(of_class))
        figures[metric, None] = replace(figures[metric, None], penalised=_mean(table))
    return PredictorFigures(
        by_class={code: {metric: figures[metric, code] for metric in metrics} for code in classes},
        over_classes={
            metric: replace(figures[metric, None], undefined=int(np.isnan(tables[metric]).sum())) for metric in metrics
        },
        cases=len(cases),
    )


def bounds_of(metric: str, *, difference: bool = False) -> Bounds:
    """Beyond what no mean of a metric can be, or no difference of two: shares are from 0 to 1, all else from 0."""
    share = metric in HIGHER_IS_BETTER
    if difference:
        return (-1.0, 1.0) if share else UNBOUNDED
    return 0.0, 1.0 if share else math.inf


def case_class_values(rows: Iterable[Mapping], metric: str) -> dict[tuple[str, int], float]:
    """Case and class to the value of a metric; NaN where undefined, or where the row lacks the metric."""
    return {(row["case"], row["class"]): row.get(metric, math.nan) for row in rows}


def case_values(rows: Iterable[Mapping], metric: str) -> dict[str, float]:
    """Case id to the mean of a metric over the case's defined classes; NaN where none is defined."""
    values_of = case_class_values(rows, metric)
    cases = list(dict.fromkeys(case for case, _ in values_of))
    values = mean_of_defined(_table(values_of, cases, sorted({code for _, code in values_of})))
    return {case: float(value) for case, value in zip(cases, values, strict=True)}


def by_group(
    rows: Iterable[Mapping],
    group_of: Mapping[str, str],
    metric: str,
    patient_of: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, MetricFigures]:
    """Figures of one metric over classes, as `summarise` has them, for each group of cases that has any.

    Args:
        rows: as for `summarise`.
        group_of: case id to its group; rows of other cases are left out.
        metric: that all rows have.
        patient_of, seed: as for `summarise`.
    """
    members: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if row["case"] in group_of:
            members[group_of[row["case"]]].append({name: row[name] for name in ("case", "class", metric)})
    return {
        group: summarise(of_group, patient_of, seed=seed).over_classes[metric] for group, of_group in members.items()
    }


def shared_values(runs: Sequence[CaseClassValues]) -> tuple[list[str], np.ndarray]:
    """The cases that all runs have, and what the runs reach on the classes that all of them have defined.

    Args:
        runs: the values of each run, one metric (`case_class_values`).

    Returns:
        Case ids in the order of the first run, and values (cases, runs): means over classes, NaN in the whole line
        of a case where no class is defined in every run.
    """
    of_others = [{case for case, _ in run} for run in runs[1:]]
    cases = [case for case in dict.fromkeys(case for case, _ in runs[0]) if all(case in other for other in of_others)]
    classes = sorted({code for run in runs for _, code in run})
    tables = np.stack([_table(run, cases, classes) for run in runs], axis=1)
    tables[np.broadcast_to(np.isnan(tables).any(axis=1, keepdims=True), tables.shape)] = math.nan
    return cases, mean_of_defined(tables)


def paired_difference(
    baseline: Iterable[Mapping],
    other: Iterable[Mapping],
    metric: str,
    patient_of: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict:
    """How far `other` is above `baseline` on the cases that both have, over classes.

    Args:
        baseline, other: rows as for `summarise`.
        metric: name of the metric.
        patient_of: case id to patient; a case that is not there is a patient of its own.
        seed: of the bootstrap.

    Returns:
        `difference` (mean of other - baseline over cases), its 95 % `interval` (`resampling.mean_intervals`), `p`
        (Wilcoxon signed-rank over patients' mean differences, two-sided; 1 if no patient differs), `patients` and
        `n` cases compared, `undefined` cases left out because no class is defined in both, `missed` pairs of case and
        class of `pairs` that are not defined in both, `unpaired` cases that only one of them has, and how many cases
        are `better`, `worse` and `tied` in `other`: higher is better for Dice, Jaccard and NSD, lower for distances.
        None where no case, or for an interval no second patient, can be compared.
    """
    pair = case_class_values(baseline, metric), case_class_values(other, metric)
    return paired_differences([pair], metric, patient_of, seed)[0]


def paired_differences(
    pairs: Sequence[tuple[CaseClassValues, CaseClassValues]],
    metric: str,
    patient_of: Mapping[str, str] | None = None,
    seed: int = 0,
) -> list[dict]:
    """What `paired_difference` gives, of many pairs (baseline, other) at the cost of little more than one."""
    gaps, patients = [], []
    for pair in pairs:
        cases, values = shared_values(pair)
        gaps.append(np.round(values[:, 1] - values[:, 0], SAME_DECIMALS))
        patients.append(patient_numbers(cases, patient_of))
    intervals = mean_intervals(gaps, patients, [bounds_of(metric, difference=True)] * len(gaps), seed)
    return [_difference(*parts, metric) for parts in zip(pairs, gaps, patients, intervals, strict=True)]


def signed_rank_p(gaps: np.ndarray, patients: np.ndarray) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test over patients' mean differences; None without any.

    Args:
        gaps: differences by case, (cases,), NaN where undefined.
        patients: of `resampling.patient_numbers`.
    """
    means = np.round(patient_means(gaps, patients), SAME_DECIMALS)
    if means.size == 0:
        return None
    if not means.any():
        return 1.0
    return float(stats.wilcoxon(means[means != 0]).pvalue)  # with zeros among them scipy would approximate


def _difference(
    pair: tuple[CaseClassValues, CaseClassValues],
    gaps: np.ndarray,
    patients: np.ndarray,
    interval: Interval | None,
    metric: str,
) -> dict:
    before, after = ({case for case, _ in run} for run in pair)
    figures = _figures(gaps, interval, patients)
    known = defined(gaps)
    shared = pair[0].keys() & pair[1].keys()
    sign = 1 if HIGHER_IS_BETTER.get(metric) else -1
    return {
        "difference": figures.mean,
        "interval": None if interval is None else list(interval),
        "p": signed_rank_p(gaps, patients),
        "patients": figures.patients,
        "n": figures.n,
        "undefined": figures.undefined,
        "missed": sum(any(math.isnan(run[key]) for run in pair) for key in shared),
        "pairs": len(shared),
        "unpaired": len(before ^ after),
        "better": int(np.count_nonzero(sign * known > 0)),
        "worse": int(np.count_nonzero(sign * known < 0)),
        "tied": int(np.count_nonzero(known == 0)),
    }


def _table(values_of: CaseClassValues, cases: Sequence[str], classes: Sequence[int]) -> np.ndarray:
    """Values by case and class; NaN where undefined or where a case lacks the class."""
    values = [values_of.get((case, code), math.nan) for case in cases for code in classes]
    return np.array(values, dtype=float).reshape(len(cases), len(classes))


def _penalised(
    distances: np.ndarray, dice: np.ndarray, cases: Sequence[str], diagonal_of: Mapping[str, float]
) -> np.ndarray | None:
    """Distances (cases, classes) with the image's diagonal where one of two masks is empty; None if one is unknown.

    Where both are empty nothing is missed, and nothing penalised: there is no Dice either.
    """
    missed = np.isnan(distances) & ~np.isnan(dice)
    diagonals = np.array([diagonal_of.get(case, math.nan) for case in cases])
    if np.isnan(diagonals[missed.any(axis=1)]).any():
        return None
    return np.where(missed, diagonals[:, None], distances)


def _mean(table: np.ndarray | None) -> float | None:
    """Mean over cases of the means over classes; None where there is nothing."""
    known = defined([]) if table is None else defined(mean_of_defined(table))
    return float(known.mean()) if known.size else None


def _figures(values: np.ndarray, interval: Interval | None, patients: np.ndarray) -> MetricFigures:
    """Figures of a column of values, one value a case; what is penalised is left open."""
    known = defined(values)
    counts = {
        "n": int(known.size),
        "undefined": int(values.size - known.size),
        "patients": int(np.unique(patients[~np.isnan(values)]).size),
    }
    if not known.size:
        return MetricFigures(None, None, None, None, None, **counts)
    low, middle, high = (float(quartile) for quartile in np.quantile(known, (0.25, 0.5, 0.75)))
    deviation = float(known.std(ddof=1)) if known.size > 1 else None
    return MetricFigures(float(known.mean()), deviation, middle, (low, high), interval, **counts)
