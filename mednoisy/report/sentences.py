"""Sentences that say what was measured and no more: where a run stands, which of two is ahead, how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.report.number_format import counted, interval, number, share
from mednoisy.report.reading.runs import Run

MOST_VERDICTS = 4  # that a page begins with, one for each run but the baseline


def nothing_scored(run: Run) -> str:
    """One sentence about a run without figures."""
    return f"There was nothing to score in {run.name}: the label maps hold no class."


def standing(run: Run, figures: PredictorFigures, unit: str) -> str:
    """One sentence that says where a run stands."""
    if not figures.cases:
        return nothing_scored(run)
    dice, hd95 = figures.over_classes["dice"], figures.over_classes["hd95"]
    within = f" (95 % interval of the mean {interval(dice.interval, 'dice')})" if dice.interval else ""
    over = f" over {counted(dice.n, _scored_noun(run))}"
    sentence = f"{run.name} reaches a mean Dice of {number(dice.mean, 'dice')} %{within}{over}"
    if hd95.mean is not None:
        sentence += f", with a mean HD95 of {number(hd95.mean, 'hd95')} {unit}"
    missed = dice.undefined + hd95.undefined
    return sentence + (f"; {counted(missed, 'value')} undefined and left out of the means." if missed else ".")


def verdict(run: Run, baseline: Run, difference: Mapping) -> str:
    """One sentence that says which of two runs is ahead in Dice, by how much, and how sure that is."""
    for either in (run, baseline):
        if not either.metrics:
            return nothing_scored(either)
    gap, n = difference["difference"], difference["n"]
    if gap is None:
        return f"{run.name} and {baseline.name} have no case with a defined Dice in common."
    points = f"{abs(100 * gap):.1f}"
    if points == "0.0":
        sentence = f"{run.name} is level with {baseline.name} on {counted(n, _scored_noun(run))}"
    else:
        side = "ahead of" if gap > 0 else "behind"
        sentence = f"{run.name} is {side} {baseline.name} by {points} Dice points on {counted(n, _scored_noun(run))}"
    details = [f"better on {difference['better']} of {n}"]
    ends = difference["interval"]
    if ends is not None:
        details.append(f"95 % interval {interval(ends, 'dice', signed=True)}")
    sentence += f" ({', '.join(details)})"
    if ends is not None and ends[0] <= 0 <= ends[1] and points != "0.0":
        sentence += "; the interval holds 0, so these cases do not settle which is better"
    return sentence + "."


def opening(runs: Sequence[Run], dice: Mapping) -> list[str]:
    """What a comparison begins with: a verdict on every run, or on the one that ranks first where there are many.

    Args:
        runs: two or more; the first is the baseline.
        dice: what `evaluation.ranking.compare` gives for their Dice.
    """
    of_run = {run.name: run for run in runs}
    verdicts = {
        pair["other"]: verdict(of_run[pair["other"]], runs[0], pair)
        for pair in dice["pairs"]
        if pair["baseline"] == runs[0].name
    }
    if len(verdicts) <= MOST_VERDICTS or not dice["ranking"]:
        return list(verdicts.values())
    best = dice["ranking"][0]["run"]
    first = f"{best} ranks first of {len(runs)} runs by mean Dice on {counted(dice['cases'], 'case')}"
    stable = dice["ranking"][0]["first"]
    first += "." if stable is None else f", and in {share(stable)} of the resamples of their patients."
    return [first, verdicts[best]] if best in verdicts else [first]


def _scored_noun(run: Run) -> str:
    return f"{run.facts.get('scored_section', 'test')} case" if "method" in run.facts else "case"
