"""The rows of a study against the rows that they have to beat, over patients and seeds.

Three questions: what a method gains over copy-paste between the labeled cases alone, under its own recipe and
settings (the unlabeled cases' share of it); over supervised training under its own recipe; over plain supervised
training. The first is the hardest, so it comes first. Rows that start from something have a fourth: what they gain over
themselves from scratch. In the others they meet rivals of their own start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mednoisy.evaluation.metrics import Row as MetricRow
from mednoisy.evaluation.ranking import holm
from mednoisy.evaluation.seeds_and_patients import SeedFigures, difference_over_seeds, mean_over_seeds
from mednoisy.evaluation.statistics import case_class_values
from mednoisy.report.patient_words import patient_noun, who_varies
from mednoisy.report.reading.runs import Run, patients_of
from mednoisy.report.tables.difference_tables import family, gain_line, gain_table
from mednoisy.studies.rows import Row
from mednoisy.studies.starts import SCRATCH, with_use

SUPERVISED, MIXING = "supervised", "copy_paste"  # names of methods
PLAIN = "default"  # the recipe that adds nothing
METRIC = "dice"
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class FinishedRow:
    """The finished runs of a row with so many labels, by seed."""

    row: Row
    labeled: int
    runs: Mapping[int, Run]

    @property
    def method(self) -> str:
        return Path(self.row.method).stem

    @property
    def recipe(self) -> str:
        return Path(self.row.recipe).stem

    @property
    def minutes(self) -> float:
        """Of training by the clock on the wall, interruptions left out; mean over seeds."""
        return sum(float(run.facts["seconds"]) for run in self.runs.values()) / 60 / len(self.runs)

    def scores(self, seed: int, predictor: str | None = None, checkpoint: str = "final") -> list[MetricRow]:
        """The metrics of a predictor, the deployed one if not given, at a checkpoint."""
        run = self.runs[seed]
        wanted = checkpoint, predictor or run.deployed
        return [row for row in run.scores if (row["checkpoint"], row["predictor"]) == wanted]

    def mean(self, predictor: str | None = None) -> SeedFigures:
        """Dice of the final checkpoint over seeds and cases."""
        values = {seed: case_class_values(self.scores(seed, predictor), METRIC) for seed in self.runs}
        return mean_over_seeds(values, METRIC, patients_of(list(self.runs.values())))

    def gain_over(self, rival: FinishedRow) -> SeedFigures:
        """How far Dice of the final checkpoint is above a rival's, under the seeds that both have."""
        baseline, own = (
            {
                seed: case_class_values(of.scores(seed), METRIC)
                for seed in of.runs
                if seed in self.runs.keys() & rival.runs
            }
            for of in (rival, self)
        )
        patient_of = patients_of([*self.runs.values(), *rival.runs.values()])
        return difference_over_seeds(baseline, own, METRIC, patient_of)


@dataclass(frozen=True)
class Gain:
    """A row against a rival, with p corrected for all gains of the study."""

    row: FinishedRow
    rival: FinishedRow
    figures: SeedFigures
    p_holm: float | None = None


@dataclass(frozen=True)
class RivalTable:
    """What rows gain over one kind of rival.

    Attributes:
        title: what the rivals are.
        gains: of the rows that have one.
        missing: rows that would have to be run, each with the rows that lack it.
    """

    title: str
    gains: tuple[Gain, ...]
    missing: Mapping[str, tuple[str, ...]]


def differences(
    rows: Sequence[FinishedRow], bundle: str, dataset: Path | None = None, shared: Mapping[str, Any] = NO_SETTINGS
) -> str:
    """What rows gain over their rivals, as `differences.md` tells it; arguments as in `rival_tables`."""
    tables = rival_tables(rows, bundle, dataset, shared)
    runs = [run for row in rows for run in row.runs.values()]
    texts = [
        gain_table(
            table.title,
            [
                gain_line(gain.row.labeled, gain.row.row.folder, gain.rival.row.folder, gain.figures, gain.p_holm)
                for gain in table.gains
            ],
            table.missing,
            patient_noun(runs),
        )
        for table in tables
        if table.gains or table.missing
    ]
    count = sum(len(table.gains) for table in tables)
    several, who = any(len(row.runs) > 1 for row in rows), who_varies(runs)
    return "\n".join([*texts, family(count, several, who) if count else f"{who}\n"])


def rival_tables(
    rows: Sequence[FinishedRow], bundle: str, dataset: Path | None = None, shared: Mapping[str, Any] = NO_SETTINGS
) -> list[RivalTable]:
    """Three tables, the hardest rival first, and that of starts; every pair of rows is in one of them, or in none.

    A rival has the row's number of labels and those of its settings that the rival's configuration has at all: SDCL's
    `teachers` is nothing to copy-paste. Holm's correction is one family of all gains of the four tables.

    Args:
        rows: of a study, finished.
        bundle, dataset: of the study.
        shared: settings of all its runs.
    """
    methods = [row for row in rows if row.method not in (SUPERVISED, MIXING)]
    others = [row for row in rows if row.method != SUPERVISED]
    recipes = [row for row in rows if row.recipe != PLAIN]
    kinds = [
        ("copy-paste between the labeled cases, under the same recipe and settings", MIXING, methods, None),
        ("supervised training under the same recipe and settings", SUPERVISED, others, None),
        ("plain supervised training", SUPERVISED, recipes, PLAIN),
    ]

    def wanted(row: Row, rival: str, recipe: str | None) -> Row:
        recipe = recipe or row.recipe
        used = with_use({**shared, **row.settings}, bundle, dataset, rival, recipe)
        known = {key: value for key, value in row.settings.items() if key in used}
        return Row(rival, recipe, known, start=row.start)

    tables = [
        _table(title, some, rows, partial(wanted, rival=rival, recipe=recipe)) for title, rival, some, recipe in kinds
    ]
    started = [row for row in rows if row.row.start]
    tables.append(_table("the same from scratch", started, rows, lambda row: replace(row, start=SCRATCH)))
    corrected = iter(holm([gain.figures.p for table in tables for gain in table.gains]))
    return [
        replace(table, gains=tuple(replace(gain, p_holm=next(corrected)) for gain in table.gains)) for table in tables
    ]


def _table(
    title: str, rows: Sequence[FinishedRow], candidates: Sequence[FinishedRow], wanted: Callable[[Row], Row]
) -> RivalTable:
    gains: list[Gain] = []
    missing: dict[str, list[str]] = {}
    for row in rows:
        sought = wanted(row.row)
        found = next((other for other in candidates if _is(other, sought, row.labeled)), None)
        if found is not None and row.runs.keys() & found.runs.keys():
            gains.append(Gain(row, found, row.gain_over(found)))
        else:
            name = f"{sought.folder} with {row.labeled} labeled"
            missing.setdefault(name, []).append(row.row.folder)
    return RivalTable(title, tuple(gains), {name: tuple(of) for name, of in missing.items()})


def _is(row: FinishedRow, wanted: Row, labeled: int) -> bool:
    same = (row.method, row.recipe) == (Path(wanted.method).stem, Path(wanted.recipe).stem)
    same = same and row.labeled == labeled and row.row.start == wanted.start
    return same and dict(row.row.settings) == dict(wanted.settings)
