"""A finished study of benchmarks/studies put into a page of docs/results.

    mednoisy study --file benchmarks/studies/acdc.yaml --data data/acdc --output studies/acdc
    python benchmarks/study_page.py benchmarks/studies/acdc.yaml studies/acdc docs/results/acdc.md

Data are those of `mednoisy prepare`; the left atrium at `--spacing 1.25`. A study takes hours of training; interrupted,
the same call goes on. Between the markers of its name the page gets the study's table, scores by centre where cases
name one, gains over the rivals and the names of the pictures beside it. Runs that are missing are left out.
"""

from __future__ import annotations

import argparse
import base64
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from mednoisy.evaluation.statistics import case_values
from mednoisy.files import write_text, written_aside
from mednoisy.report.plots.plot_kinds import EmbeddedPlot, curves, dots_per_case
from mednoisy.report.plots.study_plots import IntervalGain, Point, against, gains
from mednoisy.report.reading.runs import Run
from mednoisy.report.starts_page import TABLE, start_plot
from mednoisy.report.tables.start_tables import SCRATCH, figures_of
from mednoisy.studies.files import read_study
from mednoisy.studies.results import started_rows
from mednoisy.studies.rivals import FinishedRow, rival_tables
from mednoisy.studies.study import Study

MARKERS = "<!-- {}, made by benchmarks/study_page.py -->", "<!-- end -->"


def validation_curve(run: Run) -> tuple[list[float], list[float]]:
    """Steps and validation Dice in per cent of the deployed predictor."""
    name = f"val_dice_{run.deployed}"
    validated = [row for row in run.progress if row[name]]
    return [float(row["step"]) for row in validated], [100 * float(row[name]) for row in validated]


def first_seed(study: Study, labeled: int) -> dict[str, tuple[FinishedRow, int]]:
    """The finished rows with so many labels that have the first seed, by their names, and that seed."""
    seed = study.seeds[0]
    rows = [row for row in study.finished() if row.labeled == labeled and seed in row.runs]
    return {row.row.folder: (row, seed) for row in rows}


def picture(plot: EmbeddedPlot, path: Path) -> None:
    """Write a plot as PNG."""
    with written_aside(path) as aside:
        aside.write_bytes(base64.b64decode(plot.light.partition(",")[2]))


def pictures(study: Study, name: str, page: Path) -> list[str]:
    """Pictures beside the page; the lines that show them, what convinces first."""
    shown = [
        *((kind, words, plot) for kind, words, plot in start_pictures(study)),
        ("gaps", "Gain over copy-paste between the labeled cases", gap_picture(study)),
        ("labels", "Dice against the number of labels", label_picture(study)),
        ("minutes", "Dice against minutes of training by the clock", minute_picture(study)),
        *((kind, words, plot) for kind, words, plot in seed_pictures(study)),
    ]
    lines = []
    for kind, words, plot in shown:
        if plot is not None:
            picture(plot, page.with_name(f"{name}_{kind}.png"))
            lines.append(f"![{words}]({name}_{kind}.png)")
    return [*lines, ""] if lines else []


def gap_picture(study: Study) -> EmbeddedPlot | None:
    """What rows gain over copy-paste under their own recipe, with intervals and seeds."""
    table = rival_tables(study.finished(), study.bundle, study.dataset, study.settings)[0]
    several = len(study.labeled) > 1
    lines = []
    for gain in table.gains:
        figures = gain.figures
        if figures.mean is not None:
            name = f"{gain.row.row.folder}, {gain.row.labeled} labeled" if several else gain.row.row.folder
            ends = in_per_cent(figures.interval)
            lines.append(
                IntervalGain(name, 100 * figures.mean, ends, tuple(100 * one for one in figures.of_seed.values()))
            )
    if not lines:
        return None
    label = "Dice points over copy-paste of the labeled, 95 % interval"
    return gains(lines, label, "Gains over copy-paste between the labeled cases, with intervals")


def points_of(study: Study, place: Callable[[FinishedRow], float]) -> dict[str, list[Point]]:
    """Final Dice in per cent of each row, with its interval, at some place of each number of labels."""
    series: dict[str, list[Point]] = {}
    for row in study.finished():
        figures = row.mean()
        if figures.mean is not None:
            point = Point(place(row), 100 * figures.mean, in_per_cent(figures.interval))
            series.setdefault(row.row.folder, []).append(point)
    return series


def label_picture(study: Study) -> EmbeddedPlot | None:
    """Final Dice against the number of labels; None with one number of them."""
    series = points_of(study, lambda row: row.labeled)
    numbers = sorted({point.place for points in series.values() for point in points})
    if len(numbers) < 2:
        return None
    words = "Final Dice against the number of labels, with intervals"
    return against(series, "labels", "test Dice %, 95 % interval", words, ticks=numbers, limits=(0, 100))


def start_pictures(study: Study) -> list[tuple[str, str, EmbeddedPlot]]:
    """Dice against the share of labels, a curve for each start; none where rows start from scratch alone."""
    rows = started_rows(study.finished())
    if {row.start for row in rows} <= {SCRATCH}:
        return []
    figures = figures_of([run for row in rows for run in row.runs.values()])
    drawn = []
    for number, group in enumerate(dict.fromkeys(row.group for row in rows)):
        members = [row for row in rows if row.group == group]
        for place, figure in enumerate(figures):
            words = f"Dice of {figure} against the share of labels, {group}"
            drawn.append((f"starts_{number}_{place}", words, start_plot(members, figure, study.pool)))
    return drawn


def minute_picture(study: Study) -> EmbeddedPlot | None:
    """Final Dice against training time by the clock, which is no processor time; None without any run."""
    series = points_of(study, lambda row: row.minutes)
    if not series:
        return None
    words = "Final Dice against minutes of training by the clock, with intervals"
    label = "minutes of training by the clock (not of a processor)"
    return against(series, label, "test Dice %, 95 % interval", words, limits=(0, 100))


def seed_pictures(study: Study) -> list[tuple[str, str, EmbeddedPlot]]:
    """Learning curves and test cases, of the fewest labels and the first seed."""
    rows = first_seed(study, study.labeled[0])
    if len(rows) < 2:
        return []
    steps = {name: validation_curve(row.runs[seed]) for name, (row, seed) in rows.items()}
    of_cases = {
        name: {case: 100 * value for case, value in case_values(row.scores(seed), "dice").items()}
        for name, (row, seed) in rows.items()
    }
    cases = dots_per_case(of_cases, "test Dice %", "Dice per test case", higher_is_better=True)
    return [
        (
            "steps",
            "Dice on the validation cases against steps",
            curves(steps, "validation Dice %", "Dice against steps"),
        ),
        ("cases", "Dice of each test case, final checkpoint", cases),
    ]


def in_per_cent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Both ends times 100."""
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def write_page(study: Study, name: str, page: Path) -> None:
    """Replace what stands between the markers of `name`, or add it at the end of the page."""
    study.write()  # tables of today, whatever made the runs
    groups = study.output / "groups.md"
    made = "\n".join(
        [
            study.table_file.read_text(encoding="utf-8"),
            groups.read_text(encoding="utf-8") if groups.is_file() else "",
            starts.read_text(encoding="utf-8") if (starts := study.output / TABLE).is_file() else "",
            (study.output / "differences.md").read_text(encoding="utf-8"),
            *pictures(study, name, page),
            f"torch {version('torch')}, MONAI {version('monai')}, Python {platform.python_version()}, "
            f"{study.steps} steps a run.",
        ]
    )
    markers = [marker.format(name) for marker in MARKERS]
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if markers[0] not in text:
        text += "\n".join(markers) + "\n"
    start, end = (re.escape(marker) for marker in markers)
    write_text(page, re.sub(f"({start}\n).*?({end})", lambda m: m[1] + "\n" + made + "\n" + m[2], text, flags=re.S))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="of the study")
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("page", type=Path, help="Markdown to write into; its pictures lie beside it")
    options = parser.parse_args()
    study = Study(data=Path(), output=options.study, **read_study(options.file))
    write_page(study, options.file.stem, options.page)
    print(options.page)


if __name__ == "__main__":
    main()
