"""Several runs set against one another, as tables: differences, pairs, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.ranking import compare
from mednoisy.report import sentences as wording
from mednoisy.report.reading.runs import Run

MOST_SENTENCES = 4  # a page begins with, one for each run but the baseline


def comparison(runs: Sequence[Run]) -> dict:
    """What a page says of two or more runs; the first is the baseline.

    Returns:
        `sentences`; `differences`, a line for each run against the baseline; `pairs`, a line for each other pair;
        `ranking`, a line for each run, best Dice first; `stability`, of each metric's ranking.
    """
    found = {metric: compare({run.name: run.metrics for run in runs}, metric) for metric in MAIN_METRICS}
    names = [(pair["baseline"], pair["other"]) for pair in found["dice"]["pairs"]]
    lines = [
        {
            "baseline": baseline,
            "run": other,
            "cells": [_difference(found[metric]["pairs"][place], metric) for metric in MAIN_METRICS],
        }
        for place, (baseline, other) in enumerate(names)
    ]
    return {
        "sentences": _sentences(runs, found["dice"]),
        "differences": [line for line in lines if line["baseline"] == runs[0].name],
        "pairs": [line for line in lines if line["baseline"] != runs[0].name],
        "ranking": _ranking(found),
        "stability": [_signed(found[metric]["stability"]) for metric in MAIN_METRICS],
        "cases": [found[metric]["cases"] for metric in MAIN_METRICS],
        "left_out": [found[metric]["left_out"] for metric in MAIN_METRICS],
    }


def _sentences(runs: Sequence[Run], dice: Mapping) -> list[str]:
    """A verdict on every run, or on the one that ranks first where there are many."""
    of_run = {run.name: run for run in runs}
    verdicts = {
        pair["other"]: wording.verdict(of_run[pair["other"]], runs[0], pair)
        for pair in dice["pairs"]
        if pair["baseline"] == runs[0].name
    }
    if len(verdicts) <= MOST_SENTENCES or not dice["ranking"]:
        return list(verdicts.values())
    best = dice["ranking"][0]["run"]
    first = f"{best} ranks first of {len(runs)} runs by mean Dice on {wording.counted(dice['cases'], 'case')}"
    sure = dice["ranking"][0]["first"]
    first += "." if sure is None else f", and in {wording.share(sure)} of the resamples of these cases."
    return [first, verdicts[best]] if best in verdicts else [first]


def _difference(pair: Mapping, metric: str) -> dict:
    return {
        "difference": wording.number(pair["difference"], metric, signed=True),
        "interval": wording.interval(pair["interval"], metric, signed=True),
        "p": wording.probability(pair["p_holm"]),
        "wins": f"{pair['better']} / {pair['tied']} / {pair['worse']}",
        "left_out": pair["undefined"] + pair["unpaired"],
    }


def _ranking(found: Mapping[str, Mapping]) -> list[dict]:
    """Runs in the order of their Dice; a metric for which no case is shared has no rank."""
    entries = {metric: {entry["run"]: entry for entry in found[metric]["ranking"]} for metric in MAIN_METRICS}
    order = next((list(of_run) for of_run in entries.values() if of_run), [])
    return [
        {"run": name, "cells": [_rank(entries[metric].get(name), metric) for metric in MAIN_METRICS]} for name in order
    ]


def _rank(entry: Mapping | None, metric: str) -> dict:
    if entry is None:
        return {"rank": "–", "mean": "–", "interval": "", "first": "–"}
    ends = entry["rank_interval"]
    return {
        "rank": wording.rank(entry["rank"]),
        "mean": wording.number(entry["mean"], metric),
        "interval": "" if ends is None else f"{wording.rank(ends[0])} to {wording.rank(ends[1])}",
        "first": wording.share(entry["first"]),
    }


def _signed(stability: float | None) -> str:
    return "–" if stability is None else f"{stability:.2f}".replace("-", "−")
