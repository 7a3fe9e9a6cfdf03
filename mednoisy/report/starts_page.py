"""The page of a comparison of starts: Dice against the share of labels, a curve for each start, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mednoisy.evaluation.seeds_and_patients import SeedFigures, difference_over_seeds, mean_over_seeds
from mednoisy.evaluation.statistics import CaseClassValues, case_class_values
from mednoisy.files import write_text
from mednoisy.report.number_format import counted, interval, number, probability
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.patient_words import who_varies
from mednoisy.report.plots.plot_kinds import EmbeddedPlot
from mednoisy.report.plots.study_plots import Point, against
from mednoisy.report.reading.runs import Run, patients_of
from mednoisy.report.tables.region_tables import region_sets, rows_of_set
from mednoisy.report.tables.text_tables import markdown_table

PAGE, TABLE = "starts.html", "starts.md"
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


def write_starts_page(
    folder: Path, title: str, rows: Sequence[StartedRow], pool: int | None, costs: Sequence[PretextCost]
) -> None:
    """Write `starts.html` and `starts.md` of what is finished so far.

    Args:
        rows: in the order of the study.
        pool: how many cases (or patients) could be labeled, of which shares are told; None where it is not known.
        costs: of the pretexts.
    """
    runs = [run for row in rows for run in row.runs.values()]
    figures = figures_of(runs)
    groups = list(dict.fromkeys(row.group for row in rows))
    of_group = {group: [row for row in rows if row.group == group] for group in groups}
    lines = {group: _lines(members, figures, pool) for group, members in of_group.items()}
    gains = {group: _gains(members, figures, pool) for group, members in of_group.items()}
    notes = [_what_counts(figures), who_varies(runs)]
    listed = [{"method": group} | line for group in groups for line in lines[group]]
    text = markdown_table(listed, {name: name for name in listed[0]})
    gained = [{"method": group} | line for group in groups for line in gains[group]]
    if gained:
        text += "\nGain over the same from scratch, Dice points:\n\n"
        text += markdown_table(gained, {name: name for name in gained[0]})
    write_text(folder / TABLE, "\n\n".join([text, *notes]) + "\n")
    content = {
        "title": title,
        "lead": f"{counted(len({row.start for row in rows}), 'start')} compared, {counted(len(runs), 'run')} finished.",
        "groups": [
            {
                "name": group,
                "plots": [_plot(of_group[group], figure, pool) for figure in figures],
                "verdicts": verdicts(of_group[group], figures, pool),
                "tables": [
                    {"name": name, "lines": of_table}
                    for name, of_table in (("Dice %", lines[group]), ("Gain over scratch, Dice points", gains[group]))
                    if of_table
                ],
            }
            for group in groups
        ],
        "costs": [_cost(cost) for cost in costs],
        "notes": notes,
    }
    write_text(folder / PAGE, rendered_page("starts.html", (), content))


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


def _lines(rows: Sequence[StartedRow], figures: Sequence[str], pool: int | None) -> list[dict[str, str]]:
    return [
        {"start": row.start, "labels": _share(row.labeled, pool)}
        | {f"Dice %, {figure}": _mean(row.mean(figure)) for figure in figures}
        | {"seeds": str(len(row.runs))}
        for row in rows
    ]


def _gains(rows: Sequence[StartedRow], figures: Sequence[str], pool: int | None) -> list[dict[str, str]]:
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


def _plot(rows: Sequence[StartedRow], figure: str, pool: int | None) -> EmbeddedPlot:
    series: dict[str, list[Point]] = {}
    for row in sorted(rows, key=lambda row: row.labeled):
        mean = row.mean(figure)
        if mean.mean is not None:
            ends = mean.interval and (100 * mean.interval[0], 100 * mean.interval[1])
            series.setdefault(row.start, []).append(Point(_place(row.labeled, pool), 100 * mean.mean, ends))
    ticks = sorted({point.place for points in series.values() for point in points})
    label = "labeled" if pool is None else "share of labels, %"
    words = f"Dice of {figure} against {label}, a line each for {', '.join(series)}"
    return against(series, label, f"Dice %, {figure}", words, ticks=ticks, limits=(0, 100))


def _place(labeled: int, pool: int | None) -> float:
    return float(labeled) if pool is None else round(100 * labeled / pool, 1)


def _share(labeled: int, pool: int | None) -> str:
    return str(labeled) if pool is None else f"{labeled} ({100 * labeled / pool:.0f} %)"


def _rows(run: Run, figure: str) -> list:
    if figure != CLASSES:
        return rows_of_set(run, figure, FINAL)
    return [row for row in run.scores if (row["checkpoint"], row["predictor"]) == (FINAL, run.deployed)]


def _what_counts(figures: Sequence[str]) -> str:
    text = "Dice of the deployed predictor's final checkpoint, which nothing has chosen; in parentheses 95 % intervals."
    return text + (" Classes leave background out." if CLASSES in figures else " Regions may include background.")


def _cost(cost: PretextCost) -> dict[str, str]:
    minutes = sum(cost.minutes) / len(cost.minutes) if cost.minutes else None
    return {
        "pretext": cost.name,
        "steps": f"{cost.steps:,}",
        "minutes by the clock, a seed": "–" if minutes is None else f"{minutes:.1f}",
        "finished seeds": str(len(cost.minutes)),
    }
