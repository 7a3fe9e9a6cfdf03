"""The page of a comparison of starts: Dice against the share of labels, a curve for each start, and what it gains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mednoisy.files import write_text
from mednoisy.report.number_format import counted
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.patient_words import who_varies
from mednoisy.report.plots.plot_kinds import EmbeddedPlot
from mednoisy.report.plots.study_plots import Point, against
from mednoisy.report.tables.start_tables import (
    PretextCost,
    StartedRow,
    cost_line,
    figures_of,
    gain_lines,
    start_lines,
    verdicts,
    what_counts,
)
from mednoisy.report.tables.text_tables import markdown_table

PAGE, TABLE = "starts.html", "starts.md"


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
    lines = {group: start_lines(members, figures, pool) for group, members in of_group.items()}
    gains = {group: gain_lines(members, figures, pool) for group, members in of_group.items()}
    notes = [what_counts(figures), who_varies(runs)]
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
                "plots": [start_plot(of_group[group], figure, pool) for figure in figures],
                "verdicts": verdicts(of_group[group], figures, pool),
                "tables": [
                    {"name": name, "lines": of_table}
                    for name, of_table in (("Dice %", lines[group]), ("Gain over scratch, Dice points", gains[group]))
                    if of_table
                ],
            }
            for group in groups
        ],
        "costs": [cost_line(cost) for cost in costs],
        "notes": notes,
    }
    write_text(folder / PAGE, rendered_page("starts.html", (), content))


def start_plot(rows: Sequence[StartedRow], figure: str, pool: int | None) -> EmbeddedPlot:
    """A figure against the share of labels (or their number), a curve with intervals for each start.

    Args:
        rows: of one method and recipe.
        figure: one of `start_tables.figures_of`.
        pool: as for `write_starts_page`.
    """
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
