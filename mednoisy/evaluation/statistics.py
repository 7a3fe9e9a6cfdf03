"""What the metrics of many cases say together: means with intervals, and differences between runs.

Everywhere an undefined value (NaN) is counted and left out, never scored. Where there are several classes, the
value of a case "over classes" is the mean of its defined classes; runs are compared on the classes of a case that
all of them have defined, so that a run gains nothing by missing a class altogether.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from mednoisy.data.counter_based_random import Draw
from mednoisy.evaluation.metrics import HIGHER_IS_BETTER, TEXT_COLUMNS
from mednoisy.evaluation.undefined_values import defined, mean_of_defined

RESAMPLES = 5000
NOT_METRICS = (*TEXT_COLUMNS, "class")
SAME_DECIMALS = 10  # decimals up to which two means are one: far below any reading, above the rounding of sums
BLOCK = 2**20  # resampled cases held at once: 8 MB as numbers of times drawn

CaseClassValues = Mapping[tuple[str, int], float]  # (case, class code) to the value of one metric


def summarise(rows: Iterable[Mapping], seed: int = 0) -> dict:
    """Mean, spread and interval of every metric, per class and over classes.

    Args:
        rows: one for each case and class, as `read_metrics` gives them, of one predictor of one checkpoint. A
            metric that any row lacks (an older table beside a newer one) is left out.
        seed: of the bootstrap.

    Returns:
        `{"classes": {code as text: {metric: figures}}, "all": {metric: figures}, "cases": n}`, ready for JSON.
        Figures are `mean`, `sd` (of a sample, divisor n - 1), `median`, `quartiles` (two), `interval` (bootstrap 95 %
        of the mean, cases resampled, percentile method; two; the same resamples for every metric), `n` defined cases
        and `undefined`; None for what too few defined cases leave open. In "all", `undefined` counts pairs of case
        and class.
    """
    rows = list(rows)
    metrics = [name for name in (rows[0] if rows else ()) if name not in NOT_METRICS]
    metrics = [name for name in metrics if all(name in row for row in rows)]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    classes = sorted({row["class"] for row in rows})
    tables = {metric: _table(case_class_values(rows, metric), cases, classes) for metric in metrics}
    columns = {(metric, code): tables[metric][:, place] for metric in metrics for place, code in enumerate(classes)}
    columns |= {(metric, "all"): mean_of_defined(tables[metric]) for metric in metrics}
    described = dict(zip(columns, _describe(list(columns.values()), seed), strict=True))
    return {
        "classes": {str(code): {metric: described[metric, code] for metric in metrics} for code in classes},
        "all": {
            metric: described[metric, "all"] | {"undefined": int(np.isnan(tables[metric]).sum())} for metric in metrics
        },
        "cases": len(cases),
    }


def case_class_values(rows: Iterable[Mapping], metric: str) -> dict[tuple[str, int], float]:
    """Case and class to the value of a metric; NaN where undefined, or where the row lacks the metric."""
    return {(row["case"], row["class"]): row.get(metric, math.nan) for row in rows}


def case_values(rows: Iterable[Mapping], metric: str) -> dict[str, float]:
    """Case id to the mean of a metric over the case's defined classes; NaN where none is defined."""
    values_of = case_class_values(rows, metric)
    cases = list(dict.fromkeys(case for case, _ in values_of))
    values = mean_of_defined(_table(values_of, cases, sorted({code for _, code in values_of})))
    return {case: float(value) for case, value in zip(cases, values, strict=True)}


def by_group(rows: Iterable[Mapping], group_of: Mapping[str, str], metric: str, seed: int = 0) -> dict[str, dict]:
    """Figures of one metric over classes, as `summarise` has them, for each group of cases that has any.

    Args:
        rows: as for `summarise`.
        group_of: case id to its group; rows of other cases are left out.
        metric: that all rows have.
        seed: of the bootstrap.
    """
    members: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if row["case"] in group_of:
            members[group_of[row["case"]]].append({name: row[name] for name in ("case", "class", metric)})
    return {group: summarise(of_group, seed)["all"][metric] for group, of_group in members.items()}


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


def paired_difference(baseline: Iterable[Mapping], other: Iterable[Mapping], metric: str, seed: int = 0) -> dict:
    """How far `other` is above `baseline` on the cases that both have, over classes.

    Args:
        baseline, other: rows as for `summarise`.
        metric: name of the metric.
        seed: of the bootstrap.

    Returns:
        `difference` (mean of other - baseline), its `interval` (bootstrap 95 %, cases resampled), `p` (Wilcoxon
        signed-rank, two-sided; 1 if no case differs), `n` cases compared, `undefined` cases left out because no
        class is defined in both, `unpaired` cases that only one of them has, and how many cases are `better`,
        `worse` and `tied` in `other`: higher is better for Dice, Jaccard and NSD, lower for distances. None where no
        case can be compared.
    """
    return paired_differences([(case_class_values(baseline, metric), case_class_values(other, metric))], metric, seed)[
        0
    ]


def paired_differences(
    pairs: Sequence[tuple[CaseClassValues, CaseClassValues]], metric: str, seed: int = 0
) -> list[dict]:
    """What `paired_difference` gives, of many pairs (baseline, other) at the cost of little more than one."""
    gaps = []
    for pair in pairs:
        _, values = shared_values(pair)
        gaps.append(np.round(values[:, 1] - values[:, 0], SAME_DECIMALS))
    described = _describe(gaps, seed)
    return [_difference(*parts, metric) for parts in zip(pairs, gaps, described, strict=True)]


def _difference(pair: tuple[CaseClassValues, CaseClassValues], gaps: np.ndarray, figures: Mapping, metric: str) -> dict:
    before, after = ({case for case, _ in run} for run in pair)
    known = defined(gaps)
    sign = 1 if HIGHER_IS_BETTER.get(metric) else -1
    return {
        "difference": figures["mean"],
        "interval": figures["interval"],
        "p": _wilcoxon(known),
        "n": int(known.size),
        "undefined": figures["undefined"],
        "unpaired": len(before ^ after),
        "better": int(np.count_nonzero(sign * known > 0)),
        "worse": int(np.count_nonzero(sign * known < 0)),
        "tied": int(np.count_nonzero(known == 0)),
    }


def _wilcoxon(gaps: np.ndarray) -> float | None:
    if gaps.size == 0:
        return None
    if not gaps.any():
        return 1.0
    return float(stats.wilcoxon(gaps[gaps != 0]).pvalue)  # with zeros among them scipy would approximate


def resamples(size: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of `size` cases is drawn in each bootstrap resample, in blocks of bounded memory.

    Yields:
        Floats (some resamples, size), `RESAMPLES` lines in all; every line adds up to `size`. Equal size and seed
        give equal resamples, so that intervals of several metrics and runs can be set against one another.
    """
    generator = Draw(seed, "bootstrap", 0).generator()
    at_once = max(1, BLOCK // size)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        yield generator.multinomial(size, np.full(size, 1 / size), size=count).astype(float)


def _table(values_of: CaseClassValues, cases: Sequence[str], classes: Sequence[int]) -> np.ndarray:
    """Values by case and class; NaN where undefined or where a case lacks the class."""
    values = [values_of.get((case, code), math.nan) for case in cases for code in classes]
    return np.array(values, dtype=float).reshape(len(cases), len(classes))


def _describe(columns: Sequence[np.ndarray], seed: int) -> list[dict]:
    """Figures of each column of values, one value a case."""
    described = []
    for values, interval in zip(columns, _intervals(columns, seed), strict=True):
        known = defined(values)
        figures: dict = {"mean": None, "sd": None, "median": None, "quartiles": None, "interval": interval}
        if known.size:
            low, middle, high = (float(quartile) for quartile in np.quantile(known, (0.25, 0.5, 0.75)))
            figures |= {"mean": float(known.mean()), "median": middle, "quartiles": [low, high]}
        if known.size > 1:
            figures["sd"] = float(known.std(ddof=1))
        described.append(figures | {"n": int(known.size), "undefined": int(values.size - known.size)})
    return described


def _intervals(columns: Sequence[np.ndarray], seed: int) -> list[list[float] | None]:
    """Bootstrap 95 % intervals of the means over defined values; undefined cases are resampled like all others.

    Columns of equal length share their resamples: drawing these is what takes the time.
    """
    intervals: list[list[float] | None] = [None] * len(columns)
    places_of: dict[int, list[int]] = defaultdict(list)
    for place, column in enumerate(columns):
        if defined(column).size > 1:
            places_of[column.size].append(place)
    for size, places in places_of.items():
        values = np.stack([columns[place] for place in places], axis=1)
        is_defined = ~np.isnan(values)
        summands = np.concatenate([np.where(is_defined, values, 0), is_defined], axis=1)
        totals, counts = np.hsplit(np.concatenate([times @ summands for times in resamples(size, seed)]), 2)
        for number, place in enumerate(places):
            drawn = counts[:, number] > 0
            means = totals[drawn, number] / counts[drawn, number]
            intervals[place] = [float(end) for end in np.quantile(means, (0.025, 0.975))]
    return intervals
