"""What the metrics of many cases say together: means with intervals, and differences between two runs.

Everywhere an undefined value (NaN) is counted and left out, never scored. Where there are several classes, the
value of a case "over classes" is the mean of its defined classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

from mednoisy.data.draws import Draw
from mednoisy.evaluation.metrics import HIGHER_IS_BETTER, TEXT_COLUMNS

RESAMPLES = 5000
NOT_METRICS = (*TEXT_COLUMNS, "class")


def summarise(rows: Iterable[Mapping], seed: int = 0) -> dict:
    """Mean, spread and interval of every metric, per class and over classes.

    Args:
        rows: one for each case and class, as `read_metrics` gives them, of one predictor of one checkpoint.
        seed: of the bootstrap.

    Returns:
        `{"classes": {code as text: {metric: figures}}, "all": {metric: figures}, "cases": n}`, ready for JSON.
        Figures are `mean`, `sd` (of a sample, divisor n - 1), `median`, `quartiles` (two), `interval` (bootstrap 95 %
        of the mean, cases resampled, percentile method; two), `n` defined cases and `undefined`; None for what too
        few defined cases leave open. In "all", `undefined` counts pairs of case and class.
    """
    rows = list(rows)
    metrics = [name for name in (rows[0] if rows else ()) if name not in NOT_METRICS]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    classes = sorted({row["class"] for row in rows})
    figures: dict = {"classes": {str(code): {} for code in classes}, "all": {}, "cases": len(cases)}
    for metric in metrics:
        values = _table(rows, cases, classes, metric)
        for column, code in enumerate(classes):
            figures["classes"][str(code)][metric] = _describe(values[:, column], seed)
        figures["all"][metric] = _describe(_mean_of_defined(values), seed) | {"undefined": int(np.isnan(values).sum())}
    return figures


def case_values(rows: Iterable[Mapping], metric: str) -> dict[str, float]:
    """Case id to the mean of a metric over the case's defined classes; NaN where none is defined."""
    rows = list(rows)
    cases = list(dict.fromkeys(row["case"] for row in rows))
    values = _mean_of_defined(_table(rows, cases, sorted({row["class"] for row in rows}), metric))
    return {case: float(value) for case, value in zip(cases, values, strict=True)}


def paired_difference(baseline: Iterable[Mapping], other: Iterable[Mapping], metric: str, seed: int = 0) -> dict:
    """How far `other` is above `baseline` on the cases that both have, over classes.

    Args:
        baseline, other: rows as for `summarise`.
        metric: name of the metric.
        seed: of the bootstrap.

    Returns:
        `difference` (mean of other - baseline), its `interval` (bootstrap 95 %, cases resampled), `p` (Wilcoxon
        signed-rank, two-sided; 1 if no case differs), `n` cases compared, `undefined` cases left out because a value
        is, `unpaired` cases that only one of them has, and how many cases are `better`, `worse` and `tied` in
        `other`: higher is better for Dice, Jaccard and NSD, lower for distances. None where no case can be compared.
    """
    before, after = case_values(baseline, metric), case_values(other, metric)
    shared = [case for case in before if case in after]
    gaps = np.array([after[case] - before[case] for case in shared])
    defined = gaps[~np.isnan(gaps)]
    figures = _describe(gaps, seed)
    sign = 1 if HIGHER_IS_BETTER.get(metric) else -1
    return {
        "difference": figures["mean"],
        "interval": figures["interval"],
        "p": _wilcoxon(defined),
        "n": int(defined.size),
        "undefined": figures["undefined"],
        "unpaired": len(before.keys() ^ after.keys()),
        "better": int(np.count_nonzero(sign * defined > 0)),
        "worse": int(np.count_nonzero(sign * defined < 0)),
        "tied": int(np.count_nonzero(defined == 0)),
    }


def _wilcoxon(gaps: np.ndarray) -> float | None:
    if gaps.size == 0:
        return None
    if not gaps.any():
        return 1.0
    return float(stats.wilcoxon(gaps).pvalue)


def _table(rows: Sequence[Mapping], cases: Sequence, classes: Sequence, metric: str) -> np.ndarray:
    """Values by case and class; NaN where undefined or where a case lacks the class."""
    row_of = {case: number for number, case in enumerate(cases)}
    column_of = {code: number for number, code in enumerate(classes)}
    values = np.full((len(cases), len(classes)), math.nan)
    for row in rows:
        values[row_of[row["case"]], column_of[row["class"]]] = row[metric]
    return values


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis over what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, math.nan), where=count > 0)


def _describe(values: np.ndarray, seed: int) -> dict:
    defined = values[~np.isnan(values)]
    figures: dict = {"mean": None, "sd": None, "median": None, "quartiles": None, "interval": None}
    if defined.size:
        low, middle, high = (float(quartile) for quartile in np.quantile(defined, (0.25, 0.5, 0.75)))
        figures |= {"mean": float(defined.mean()), "median": middle, "quartiles": [low, high]}
    if defined.size > 1:
        figures |= {"sd": float(defined.std(ddof=1)), "interval": _interval(values, seed)}
    return figures | {"n": int(defined.size), "undefined": int(values.size - defined.size)}


def _interval(values: np.ndarray, seed: int) -> list[float]:
    """Bootstrap 95 % interval of the mean over defined values; undefined cases are resampled like all others."""
    generator = Draw(seed, "bootstrap", 0).generator()
    times = generator.multinomial(values.size, np.full(values.size, 1 / values.size), size=RESAMPLES)
    defined = ~np.isnan(values)
    count = times @ defined
    means = (times @ np.where(defined, values, 0))[count > 0] / count[count > 0]
    return [float(end) for end in np.quantile(means, (0.025, 0.975))]
