"""Several runs set against one another, as plain values for pages and terminals: pairs, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.ranking import compare
from mednoisy.report.number_format import (
    UNDEFINED,
    coefficient,
    interval,
    number,
    probability,
    rank,
    rank_interval,
    share,
)
from mednoisy.report.reading.runs import Run, patients_of

UNRANKED = {"rank": UNDEFINED, "mean": UNDEFINED, "interval": "", "first": UNDEFINED}  # where no case is shared


def compared_by(runs: Sequence[Run], metric: str) -> dict:
    """What `evaluation.ranking.compare` gives for the metrics that the runs show."""
    return compare({run.name: run.metrics for run in runs}, metric, patients_of(runs))


def pair_rows(compared: Mapping) -> list[dict]:
    """A row for every two runs, in the order of the runs: what the later one gains over the earlier one.

    Args:
        compared: by one metric, as `compared_by` gives it.
    """
    metric = compared["metric"]
    return [
        {
            "baseline": pair["baseline"],
            "run": pair["other"],
            "difference": number(pair["difference"], metric, signed=True),
            "interval": interval(pair["interval"], metric, signed=True),
            "wins": f"{pair['better']} / {pair['tied']} / {pair['worse']}",
            "p": probability(pair["p"]),
            "p_holm": probability(pair["p_holm"]),
            "cases": pair["n"],
            "patients": pair["patients"],
            "left_out": pair["undefined"] + pair["unpaired"],
            "missed": f"{pair['missed']} of {pair['pairs']}" if pair["missed"] else "",
        }
        for pair in compared["pairs"]
    ]


def rank_rows(compared: Mapping) -> list[dict]:
    """A row for each run, best first; none where the runs share no case.

    Args:
        compared: by one metric, as `compared_by` gives it.
    """
    return [
        {
            "run": entry["run"],
            "rank": rank(entry["rank"]),
            "mean": number(entry["mean"], compared["metric"]),
            "interval": rank_interval(entry["rank_interval"]),
            "first": share(entry["first"]),
        }
        for entry in compared["ranking"]
    ]


def comparison(runs: Sequence[Run]) -> dict:
    """What a page says of two or more runs by the main metrics; the first is the baseline.

    Returns:
        `by_metric`, what `compared_by` gives for each; `differences`, a line for each run against the baseline;
        `pairs`, a line for each other pair; `ranking`, a line for each run, best Dice first; of each metric's ranking
        `stability`, `cases`, `left_out` and `missed`. A line's `cells` are rows of `pair_rows` or `rank_rows`, one for
        each metric.
    """
    by_metric = {metric: compared_by(runs, metric) for metric in MAIN_METRICS}
    lines = [
        {"baseline": cells[0]["baseline"], "run": cells[0]["run"], "cells": list(cells)}
        for cells in zip(*(pair_rows(compared) for compared in by_metric.values()), strict=True)
    ]
    return {
        "by_metric": by_metric,
        "differences": [line for line in lines if line["baseline"] == runs[0].name],
        "pairs": [line for line in lines if line["baseline"] != runs[0].name],
        "ranking": _ranking(by_metric),
        "stability": [coefficient(compared["stability"]) for compared in by_metric.values()],
        "cases": [compared["cases"] for compared in by_metric.values()],
        "left_out": [compared["left_out"] for compared in by_metric.values()],
        "missed": [
            f"{compared['missed']} of {compared['shared']}" if compared["missed"] else ""
            for compared in by_metric.values()
        ],
    }


def _ranking(by_metric: Mapping[str, Mapping]) -> list[dict]:
    """Runs in the order of their Dice; a metric for which no case is shared has no rank."""
    rows = [{row["run"]: row for row in rank_rows(compared)} for compared in by_metric.values()]
    order = next((list(of_run) for of_run in rows if of_run), [])
    return [{"run": name, "cells": [of_run.get(name, UNRANKED) for of_run in rows]} for name in order]
