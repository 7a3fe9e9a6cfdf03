"""Dice by start and number of labels, and what a start gains over scratch: tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mednoisy.evaluation.seeds_and_patients import SeedFigures, difference_over_seeds, mean_over_seeds
from mednoisy.evaluation.statistics import CaseClassValues, case_class_values
from mednoisy.report.number_format import interval, number, probability
from mednoisy.report.reading.runs import Run, patients_of
from mednoisy.report.tables.region_tables import region_sets, rows_of_set

CLASSES = "classes"  # the figure that is a mean over classes, background left out
FINAL = "final"  # the checkpoint of all figures
SCRATCH = "scratch"


@dataclass(frozen=True)
class StartedRow:
    """Finished runs that differ in their seed alone.

    Attributes:
        group: method and recipe, in words; curves of one group share a plot.
        start: what their networks began with.
        labeled: cases (or patients) with a label.
        runs: by seed.
    """

    group: str
    start: str
    labeled: int
    runs: Mapping[int, Run]

    def values(self, figure: str) -> dict[int, CaseClassValues]:
        """Dice of the final checkpoint by seed, of classes or of the regions of a set."""
        return {seed: case_class_values(_rows(run, figure), "dice") for seed, run in self.runs.items()}

    def mean(self, figure: str) -> SeedFigures:
        """Over seeds and cases."""
        return mean_over_seeds(self.values(figure), "dice", patients_of(list(self.runs.values())))

    def gain_over(self, other: StartedRow, figure: str) -> SeedFigures:
        """Over the seeds that both have."""
        patients = patients_of([*self.runs.values(), *other.runs.values()])
        return difference_over_seeds(other.values(figure), self.values(figure), "dice", patients)


@dataclass(frozen=True)
class PretextCost:
    """What a pretext that rows start from has cost: steps, and minutes by the clock of the runs that are finished."""

    name: str
    steps: int
    minutes: tuple[float, ...]


def figures_of(runs: Sequence[Run]) -> list[str]:
    """The figures to show: over classes, and over each set of regions.

    A set of as many regions as there are codes, background included, stands in the place of the mean over classes.
    """
    sets = region_sets(runs)
    labels = max((len(run.summary.labels) for run in runs), default=0)
    whole = any(len(parts) == labels for parts in sets.values())
    return [*([] if whole else [CLASSES]), *sets]


def verdicts(rows: Sequence[StartedRow], figures: Sequence[str], pool: int | None) -> list[str]:
    """A sentence for each start and figure: where its interval says that it is better than scratch, or worse."""
    sentences = []
    for start in dict.fromkeys(row.start for row in rows if row.start != SCRATCH):
        for figure in figures:
            found: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
            for row, scratch in _pairs([each for each in rows if each.start in (start, SCRATCH)]):
                ends = row.gain_over(scratch, figure).interval
                word = "undecided" if ends is None or ends[0] <= 0 <= ends[1] else "better" if ends[0] > 0 else "worse"
                found[word].append(_share(row.labeled, pool))
            told = [f"{word} at {', '.join(places)}" for word, places in found.items() if places]
            if told:
                sentences.append(f"{start} against scratch, {figure}: {'; '.join(told)}.")
    return sentences


def _pairs(rows: Sequence[StartedRow]) -> list[tuple[StartedRow, StartedRow]]:
    """Rows with the row of as many labels that begins from scratch, under a seed that both have."""
    scratch = {row.labeled: row for row in rows if row.start == SCRATCH}
    others = [row for row in rows if row.start != SCRATCH and row.labeled in scratch]
    return [(row, scratch[row.labeled]) for row in others if row.runs.keys() & scratch[row.labeled].runs.keys()]


def start_lines(rows: Sequence[StartedRow], figures: Sequence[str], pool: int | None) -> list[dict[str, str]]:
    """A line for each row: every figure over seeds and cases with its interval."""
    return [
        {"start": row.start, "labels": _share(row.labeled, pool)}
        | {f"Dice %, {figure}": _mean(row.mean(figure)) for figure in figures}
        | {"seeds": str(len(row.runs))}
        for row in rows
    ]


def gain_lines(rows: Sequence[StartedRow], figures: Sequence[str], pool: int | None) -> list[dict[str, str]]:
    """A line for each row that has its like from scratch: what it gains, with interval and p."""
    lines = []
    for row, scratch in _pairs(rows):
        line = {"start": row.start, "labels": _share(row.labeled, pool)}
        for figure in figures:
            gain = row.gain_over(scratch, figure)
            line |= {f"gain, {figure}": _mean(gain, signed=True), f"p, {figure}": probability(gain.p)}
        lines.append(line | {"seeds": str(len(row.runs.keys() & scratch.runs.keys()))})
    return lines


def _mean(figures: SeedFigures, *, signed: bool = False) -> str:
    ends = interval(figures.interval, "dice", signed=signed)
    return number(figures.mean, "dice", signed=signed) + (f" ({ends})" if ends else "")


def _share(labeled: int, pool: int | None) -> str:
    return str(labeled) if pool is None else f"{labeled} ({100 * labeled / pool:.0f} %)"


def _rows(run: Run, figure: str) -> list:
    if figure != CLASSES:
        return rows_of_set(run, figure, FINAL)
    return [row for row in run.scores if (row["checkpoint"], row["predictor"]) == (FINAL, run.deployed)]


def what_counts(figures: Sequence[str]) -> str:
    """Which checkpoint the figures are of, and whether background is among them."""
    text = "Dice of the deployed predictor's final checkpoint, which nothing has chosen; in parentheses 95 % intervals."
    return text + (" Classes leave background out." if CLASSES in figures else " Regions may include background.")


def cost_line(cost: PretextCost) -> dict[str, str]:
    """Steps and minutes of a pretext."""
    minutes = sum(cost.minutes) / len(cost.minutes) if cost.minutes else None
    return {
        "pretext": cost.name,
        "steps": f"{cost.steps:,}",
        "minutes by the clock, a seed": "–" if minutes is None else f"{minutes:.1f}",
        "finished seeds": str(len(cost.minutes)),
    }
