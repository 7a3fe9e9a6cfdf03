"""What the strategies of a simulation reached, as plain values for its page and its table in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.learning_curves import NEGLIGIBLE, SIGNIFICANT, OverSeeds, PenaltyMatrix, over_seeds
from mednoisy.active.simulated_curves import COSTS, RANDOM, MethodCurves
from mednoisy.evaluation.ranking import holm
from mednoisy.report.number_format import UNDEFINED, counted, interval, number, percent, probability
from mednoisy.report.tables.text_tables import markdown_table

Line = dict[str, str]
ORACLE = " (oracle)"  # behind the name of a strategy that reads true labels
UNTOLD = {  # by the seeds that two strategies share, of which no test can be made
    1: "One seed with whole curves of both says nothing",
    0: "No seed has whole curves of both, so that nothing can be said",
}


@dataclass(frozen=True)
class Gain:
    """What a strategy gains over another one in area under the curve, paired by seed; `holm` is p corrected."""

    method: str
    strategy: str
    rival: str
    figures: OverSeeds
    holm: float | None


def titled(strategy: str) -> str:
    """The name of a strategy, saying where it is an oracle."""
    return strategy + (ORACLE if strategy in STRATEGIES and STRATEGIES[strategy].oracle else "")


def gains(methods: Sequence[MethodCurves]) -> list[Gain]:
    """Every strategy against random and against foreground-aware random, p corrected over all of them together."""
    found = []
    for method in methods:
        for rival in dict.fromkeys(name for name in (RANDOM, method.baseline) if name in method.curves):
            for strategy in method.curves:
                if strategy not in (rival, RANDOM):  # what random gains over another is that one's loss
                    found.append((method.name, strategy, str(rival), method.gain(strategy, str(rival))))
    corrected = holm([figures.p for *_, figures in found])
    return [Gain(*parts, p) for parts, p in zip(found, corrected, strict=True)]


def overview(method: MethodCurves, matrix: PenaltyMatrix | None) -> list[Line]:
    """A line for each strategy: area, end, distance from all labels, efficiency, penalty; at last all labels."""
    efficiencies = method.efficiencies()
    penalty = {} if matrix is None else dict(zip(matrix.strategies, matrix.penalties.tolist(), strict=True))
    lines = [
        {
            "strategy": titled(name),
            "area under Dice %": _told(over_seeds(list(curve.areas().values()))),
            "Dice % at the end": _told(curve.at(-1)),
            "all labels less that": _told(method.left_to_full(name), signed=True),
            "foreground efficiency": _efficiency(efficiencies[name]),
            "penalty %": f"{penalty[name]:.0f}" if name in penalty else UNDEFINED,
            "seeds": str(sum(math.isfinite(value) for value in curve.areas().values())),
        }
        for name, curve in method.curves.items()
    ]
    if method.full:
        figures = {
            "strategy": "all labels",
            "Dice % at the end": _told(over_seeds(list(method.full.values()))),
            "seeds": str(len(method.full)),
        }
        lines.append(dict.fromkeys(lines[0], "") | figures)
    return lines


def cost_lines(method: MethodCurves) -> list[Line]:
    """A line for each strategy: what was labeled at the end, mean over seeds, and the time of all its trainings."""
    lines = [
        {"strategy": titled(name)}
        | _labels({cost: curve.cost(cost, -1) for cost in COSTS})
        | {"processor, min": _minutes(float(curve.processor_seconds.sum(axis=1).mean()))}
        for name, curve in method.curves.items()
    ]
    if method.full:
        lines.append({"strategy": "all labels"} | _labels(method.full_cost) | {"processor, min": ""})
    return lines


def by_round(method: MethodCurves) -> list[Line]:
    """A line for each strategy: Dice in per cent after each round with its interval; headings say how many labels."""
    rounds = next(iter(method.curves.values())).dice.shape[1]
    headings = []
    for place in range(rounds):
        labels = [curve.cost("patients", place) for curve in method.curves.values()]
        known = [count for count in labels if count is not None]
        headings.append(f"round {place}" if place else "start")
        headings[-1] += f", {known[0]:g} labeled" if known else ""
    return [
        {"strategy": titled(name)} | {heading: _told(curve.at(place)) for place, heading in enumerate(headings)}
        for name, curve in method.curves.items()
    ]


def gain_lines(found: Sequence[Gain], method: str) -> list[Line]:
    """A line for each gain of a method's strategies."""
    return [
        {
            "strategy": titled(gain.strategy),
            "against": titled(gain.rival),
            "gain in area, Dice points": number(gain.figures.mean, "dice", signed=True),
            "95 % interval": interval(gain.figures.interval, "dice", signed=True) or UNDEFINED,
            "p": probability(gain.figures.p),
            "p (Holm)": probability(gain.holm),
            "seeds": str(gain.figures.seeds),
        }
        for gain in found
        if gain.method == method
    ]


def penalty_lines(matrix: PenaltyMatrix) -> list[Line]:
    """The matrix: how often the strategy of the line beat that of the column; at last the penalties."""
    lines = [
        {"beat": titled(name)}
        | {titled(other): f"{value:.0f}" for other, value in zip(matrix.strategies, row, strict=True)}
        for name, row in zip(matrix.strategies, matrix.beaten.tolist(), strict=True)
    ]
    means = zip(matrix.strategies, matrix.penalties.tolist(), strict=True)
    return [*lines, {"beat": "penalty: column's mean"} | {titled(name): f"{value:.0f}" for name, value in means}]


def verdicts(found: Sequence[Gain], method: MethodCurves) -> list[str]:
    """Sentences: which strategies beat random and foreground-aware random, and which do not."""
    sentences = []
    for rival in dict.fromkeys(gain.rival for gain in found if gain.method == method.name):
        members = [gain for gain in found if gain.method == method.name and gain.rival == rival]
        untold = [gain for gain in members if gain.figures.p is None]
        told = [gain for gain in members if gain not in untold]
        above = [gain for gain in told if gain.figures.mean is not None and gain.figures.mean > NEGLIGIBLE]
        below = [gain for gain in told if gain not in above]
        better = [gain for gain in above if gain.holm is not None and gain.holm < SIGNIFICANT]
        above = [gain for gain in above if gain not in better]
        words = f"{titled(rival)} is"
        if better:
            sentences.append(f"{words} beaten by {_names(better)}, also after correction (Holm, p < 0.05).")
        if above:
            sentences.append(
                f"{words} not beaten beyond the chance of seeds by {_names(above)}, whose mean area is higher."
            )
        if below:
            sentences.append(f"{words} not beaten by {_names(below)}, whose mean area is no higher.")
        for seeds, words in UNTOLD.items():
            if these := [gain for gain in untold if gain.figures.seeds == seeds]:
                sentences.append(f"{words}: {_names(these)} against {titled(rival)}.")
    if RANDOM not in method.curves:
        sentences.append("The strategy random was not run: nobody should believe the others without it.")
    if rounds := method.near_full():
        places = ", ".join("the start" if number == 0 else f"round {number}" for number in rounds)
        sentences.append(
            f"At {places} some strategy is above 99 % of the Dice of all labels, where no strategy can show its worth."
        )
    return sentences


def simulation_table(methods: Sequence[MethodCurves], matrix: PenaltyMatrix | None, notes: Sequence[str]) -> str:
    """All of it in Markdown."""
    found, parts = gains(methods), []
    for method in methods:
        parts.append(f"## {method.name}\n")
        tables = overview(method, matrix), by_round(method), gain_lines(found, method.name), cost_lines(method)
        for lines in tables:
            if lines:
                parts.append(markdown_table(lines, list(lines[0])))
        parts += [f"- {sentence}" for sentence in verdicts(found, method)]
        parts.append("")
    if matrix is not None:
        lines = penalty_lines(matrix)
        parts += ["## Pairwise penalties\n", markdown_table(lines, list(lines[0]))]
    return "\n".join([*parts, *notes]) + "\n"


def notes(seeds: int, rounds: int, budget: int, matrix: PenaltyMatrix | None) -> list[str]:
    """What the numbers of the tables are."""
    texts = [
        "Dice: last checkpoint, mean over test cases and classes, deployed predictor. Area: trapezoid over the "
        f"{counted(rounds + 1, 'training')} spaced evenly from 0 to 1. Intervals and p: Student's t over "
        f"{counted(seeds, 'seed')}, differences paired by seed; the test cases are the same throughout. A seed is a "
        f"start, initial weights and a draw; each round adds {budget}.",
        "Foreground efficiency: g of Dice = c - a exp(-g (x - x0)), x the share of the pool's foreground voxels that "
        "is labeled, c the Dice of all labels; higher is better. Slices: those that show foreground.",
        "All labels: supervised training of as many steps under the same recipe. An oracle reads the true labels of "
        "the pool, which no annotator has.",
    ]
    if matrix is not None:
        texts.append(
            f"Penalties: how often, in per cent of the rounds of {counted(matrix.settings, 'method')}, the strategy of "
            f"the line was better (two-sided paired t-test, p < 0.05, {matrix.seeds} seeds, uncorrected). Lower is "
            "better; so few seeds find large differences alone."
        )
    return texts


def _told(figures: OverSeeds, *, signed: bool = False) -> str:
    """A mean with its interval, in per cent: `71.2 (68.0 to 74.4)`."""
    ends = interval(figures.interval, "dice", signed=signed)
    return percent(figures.mean, signed=signed) + (f" ({ends})" if ends else "")


def _names(members: Sequence[Gain]) -> str:
    return ", ".join(titled(gain.strategy) for gain in members)


def _efficiency(value: float | None) -> str:
    return UNDEFINED if value is None else "∞" if math.isinf(value) else f"{value:.3g}".replace("-", "−")


def _labels(costs: Mapping[str, float | None]) -> Line:
    names = ("patients", "cases", "slices", "foreground_voxels")
    whole = {name.replace("_", " "): _whole(costs[name]) for name in names}
    return whole | {"share of the pool's": _share(costs["foreground_share"])}


def _whole(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.0f}"


def _share(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:.1f} %"


def _minutes(seconds: float) -> str:
    return UNDEFINED if math.isnan(seconds) else f"{seconds / 60:.1f}"
