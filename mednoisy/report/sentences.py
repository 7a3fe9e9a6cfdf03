"""Sentences that say what was measured and no more: where a run stands, which of two is ahead, how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.report.number_format import counted, interval, number, share
from mednoisy.report.reading.runs import Run

SUPERVISED, MIXING = "supervised", "copy_paste"  # methods that see no unlabeled scan; the second mixes, too
SAME = ("dataset", "recipe", "labeled", "folds", "seed", "steps")  # facts that a run shares with its rival
MOST_VERDICTS = 4  # that a page begins with, one for each run but the baseline


def nothing_scored(run: Run) -> str:
    """One sentence about a run without figures."""
    if not run.summary.predicts:
        return f"{run.name} is a pretext: it read images alone and predicts nothing, so it has no figures."
    if "method" in run.facts and not run.summary.cases:
        return f"{run.name} is trained; there was no labeled case beside those of training to score it on."
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
    if folds := run.facts.get("folds"):
        sentence += f", each scored by that one of {folds} networks which was trained without its patient"
    if run.shown == "chosen":
        sentence += " – the very cases that chose the checkpoint, so this flatters"
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
    ends, scored = difference["interval"], counted(n, _scored_noun(run))
    points = f"{abs(100 * gap):.1f}"
    settled = ends is not None and (ends[0] > 0 or ends[1] < 0)
    if points == "0.0":
        sentence = f"{run.name} is level with {baseline.name} on {scored}"
    elif settled:
        side = "ahead of" if gap > 0 else "behind"
        sentence = f"{run.name} is {side} {baseline.name} by {points} Dice points on {scored}"
    else:
        side = "above" if gap > 0 else "below"
        sentence = f"{run.name} lies {points} Dice points {side} {baseline.name} on {scored}"
    details = [f"better on {difference['better']} of {n}"]
    if ends is not None:
        details.append(f"95 % interval {interval(ends, 'dice', signed=True)}")
    sentence += f" ({', '.join(details)})"
    if not settled and points != "0.0":
        why = "of one patient there is no interval" if ends is None else "the interval holds 0"
        sentence += f"; {why}, so these cases do not settle which is better"
    return sentence + "."


def share_of_unlabeled(runs: Sequence[Run], pairs: Sequence[Mapping]) -> list[str]:
    """What the unlabeled scans did, run by run: against the one that mixes as well but sees none of them.

    A method that mixes images gains by that alone, so its lead over plain training does not say what the unlabeled
    scans are worth. A rival trained by `copy_paste` on the same labels, under the same recipe, for as many steps from
    the same seed. Where a run has none, that is said.

    Args:
        pairs: of all runs, as `evaluation.ranking.compare` gives them.
    """
    sentences, alone = [], []
    for run in runs:
        if run.facts.get("method") in (None, SUPERVISED, MIXING) or not run.facts.get("unlabeled"):
            continue
        rivals = [other for other in runs if other.facts.get("method") == MIXING and _sees_labeled_alone(other)]
        rival = next((other for other in rivals if _alike(run, other)), None)
        if rival is None:
            alone.append(run.name)
            continue
        difference = next(filter(None, (_of_pair(pair, run, rival) for pair in pairs)))
        mixing = f"{rival.name} mixes images as well and sees no unlabeled scan"
        sentences.append(f"The unlabeled scans' share: {mixing}. {verdict(run, rival, difference)}")
    if alone:
        cure = f"a run of --method {MIXING} on the same labels, recipe, steps and seed would tell"
        sentences.append(f"How much the unlabeled scans did in {', '.join(alone)} is not known: {cure}.")
    return sentences


def _sees_labeled_alone(run: Run) -> bool:
    return not run.facts.get("pretext") and not run.facts.get("pretext_from")


def _alike(run: Run, other: Run) -> bool:
    return all(run.facts.get(fact) == other.facts.get(fact) for fact in SAME)


def _of_pair(pair: Mapping, run: Run, baseline: Run) -> Mapping | None:
    """The difference of two runs in this order, from a pair in either; None where it is of others."""
    if (pair["baseline"], pair["other"]) == (baseline.name, run.name):
        return pair
    if (pair["baseline"], pair["other"]) != (run.name, baseline.name):
        return None
    gap, ends = pair["difference"], pair["interval"]
    return {
        **pair,
        "difference": None if gap is None else -gap,
        "interval": None if ends is None else [-ends[1], -ends[0]],
        "better": pair["worse"],
        "worse": pair["better"],
    }


def opening(runs: Sequence[Run], dice: Mapping) -> list[str]:
    """What a comparison begins with: what the unlabeled scans did, then a verdict on every run against the first.

    Where there are many, only the run that ranks first has its verdicts.

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
        return [*share_of_unlabeled(runs, dice["pairs"]), *verdicts.values()]
    best = dice["ranking"][0]["run"]
    share_of_best = share_of_unlabeled([of_run[best], *(run for run in runs if run.name != best)], dice["pairs"])[:1]
    first = f"{best} ranks first of {len(runs)} runs by mean Dice on {counted(dice['cases'], 'case')}"
    stable = dice["ranking"][0]["first"]
    first += "." if stable is None else f", and in {share(stable)} of the resamples of their patients."
    return [*share_of_best, first, *([verdicts[best]] if best in verdicts else [])]


def _scored_noun(run: Run) -> str:
    return f"{run.facts.get('scored_section', 'test')} case" if "method" in run.facts else "case"
