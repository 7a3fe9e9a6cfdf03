"""What a report needs of a run or an evaluation, read from its own files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mednoisy.data.mask_greys import FolderGreys
from mednoisy.errors import UserError
from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.metrics import MAIN_METRICS, VOLUMES, Row, read_metrics
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.evaluation.regions import COLUMNS
from mednoisy.evaluation.regions import FILE as REGIONS
from mednoisy.evaluation.statistics import summarise
from mednoisy.evaluation.summary_file import FailedCase, RunSummary
from mednoisy.report.reading.rounds import damaged
from mednoisy.text_files import Unusable, read_table

FACTS_IN_NAMES = ("recipe", "labeled", "seed", "steps")  # that a run's name gets where they tell runs apart


@dataclass(frozen=True)
class Run:
    """A finished run under a name of its own: its summary, its rows, and how its training went.

    Attributes:
        folder: of the run or the evaluation.
        name: unlike that of any run beside it.
        summary: of `summary.json`.
        metrics: rows of the deployed predictor at the checkpoint that is shown.
        scores: rows of all checkpoints and predictors.
        progress: rows of `progress.csv`; none of an evaluation.
        regions: rows of all checkpoints and predictors by region; none where the datalist names no regions.
    """

    folder: Path
    name: str
    summary: RunSummary
    metrics: list[Row]
    scores: list[Row]
    progress: list[dict[str, str]]
    regions: list[Row] = field(default_factory=list)

    @property
    def facts(self) -> Mapping[str, Any]:
        """How the run came about, in the order shown."""
        return self.summary.facts

    @property
    def deployed(self) -> str:
        """Name of the predictor that is deployed."""
        return self.summary.deployed

    @property
    def shown(self) -> str:
        """Name of the checkpoint that `metrics` scores."""
        return self.summary.shown

    @property
    def failed(self) -> tuple[FailedCase, ...]:
        """The cases that could not be scored."""
        return self.summary.failed

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing about the files that were scored."""
        return self.summary.notes

    @property
    def classes(self) -> dict[int, str]:
        """Label codes that were scored to names, each a name of its own."""
        return class_names([self])

    @property
    def codes(self) -> set[int] | None:
        """Label codes that files may hold; None for any."""
        return set(self.summary.codes or ()) or None

    @property
    def unit(self) -> str:
        """What distances are counted in."""
        return self.summary.unit

    @property
    def mapping(self) -> Mapping[int, int]:
        """Codes of files that were replaced before scoring."""
        return self.summary.mapping

    @property
    def ignored(self) -> tuple[int, ...]:
        """Codes of references whose voxels were left out."""
        of_run = tuple(self.summary.facts.get("ignored_codes", ()))
        return self.summary.label_maps.ignored if self.summary.label_maps else of_run

    @property
    def stored(self) -> dict[str, tuple[int, ...]]:
        """The source's code of each class, of predictions and references that hold these in place of classes."""
        codes = tuple(self.summary.facts.get("source_codes") or ())
        parts = ("prediction", "reference") if self.summary.facts.get("label_files") == "source" else ("prediction",)
        return dict.fromkeys(parts, codes) if codes else {}

    @property
    def folder_greys(self) -> dict[str, FolderGreys]:
        """What greys mean in the pictures of predictions and references, where that was decided for all of them."""
        white = self.summary.label_maps.white if self.summary.label_maps else {}
        return {part: FolderGreys(grey) for part, grey in white.items()}

    @property
    def centres(self) -> dict[str, str]:
        """Case id to where the case comes from, of those that say so."""
        return {case.id: case.centre for case in self.summary.cases if case.centre}

    @property
    def patient_of(self) -> Mapping[str, str]:
        """Case id to patient, or scene, of the cases that name one."""
        return self.summary.patient_of

    def figures(self, rows: Sequence[Row] | None = None, checkpoint: str | None = None) -> PredictorFigures:
        """Figures of the rows of one predictor at a checkpoint; of those that are shown if not given.

        Distances of the checkpoint `published` are in voxels, so that no diagonal is one of them.
        """
        of_millimetres = (checkpoint or self.shown) != "published"
        diagonals = self.summary.diagonal_of if of_millimetres else {}
        return summarise(self.metrics if rows is None else rows, self.patient_of, diagonals)

    def step(self, checkpoint: str) -> int | None:
        """The training step of a checkpoint; None where it has none or there is no such checkpoint."""
        figures = self.summary.checkpoints.get(checkpoint)
        return figures.step if figures else None

    def class_name(self, code: int) -> str:
        """The name of a label code; the code itself where it has none."""
        return self.summary.labels.get(code, f"class {code}")

    def files_of(self, case: str) -> dict[str, Path]:
        """Paths of image, reference and prediction of a case, as far as the summary lists them."""
        for scored in self.summary.cases:
            if scored.id == case:
                image = scored.image[0] if isinstance(scored.image, tuple) else scored.image
                paths = {"image": image, "reference": scored.reference, "prediction": scored.prediction}
                return {part: self.folder / path for part, path in paths.items() if path}
        return {}


def patients_of(runs: Sequence[Run]) -> dict[str, str]:
    """Case id to patient, or scene, as far as any of the runs tells."""
    return {case: patient for run in reversed(runs) for case, patient in run.patient_of.items()}


def class_names(runs: Sequence[Run]) -> dict[int, str]:
    """Label codes that any run scored to names: those of the first run that has the class; namesakes get their code."""
    names: dict[int, str] = {}
    for run in runs:
        for code in sorted({int(row["class"]) for row in run.metrics} - names.keys()):
            names[code] = run.class_name(code)
    taken = list(names.values())
    return {code: f"{name} ({code})" if taken.count(name) > 1 else name for code, name in sorted(names.items())}


def read_runs(folders: Sequence[Path | str]) -> list[Run]:
    """The runs in these folders, each under a name of its own.

    Raises:
        UserError: E402 where a folder holds no finished run, E401 where its tables are damaged, E403 where runs count
            distances in different units.
    """
    runs = [_read_run(Path(folder)) for folder in folders]
    for fact in FACTS_IN_NAMES:
        # A recipe is in the names of all runs or of none: "sdcl" beside "supervised, strong" would hide half of what
        # differs.
        namesakes = {run.name: [other for other in runs if other.name == run.name] for run in runs}
        runs = [_named_by_fact(run, fact, runs if fact == "recipe" else namesakes[run.name]) for run in runs]
    taken = [run.name for run in runs]
    runs = [replace(run, name=f"{run.name} ({run.folder.name})") if taken.count(run.name) > 1 else run for run in runs]
    taken = [run.name for run in runs]
    runs = [replace(run, name=f"{run.name} {i}") if taken.count(run.name) > 1 else run for i, run in enumerate(runs, 1)]
    for run in runs:
        if run.unit != runs[0].unit:
            cause = f"distances of {runs[0].name} are in {runs[0].unit}, those of {run.name} in {run.unit}"
            raise UserError("E403", cause, "Compare runs of one unit, or score label maps that state their spacing")
    return runs


def _named_by_fact(run: Run, fact: str, others: list[Run]) -> Run:
    """The run with the fact in its name, if others differ in it."""
    if len({str(other.facts.get(fact)) for other in others}) < 2 or run.facts.get(fact) is None:
        return run
    value = run.facts[fact]
    return replace(run, name=f"{run.name}, {value if fact == 'recipe' else f'{fact} {value}'}")


def _read_run(folder: Path) -> Run:
    run = read_finished_run(folder)
    first = run.metrics[0] if run.metrics else {}
    needed = (*MAIN_METRICS, *(VOLUMES if set(VOLUMES) & set(first) else ()))  # both volumes, or neither
    if first and (absent := [name for name in needed if name not in first]):
        raise damaged(folder / "metrics.csv", f"it lacks the columns {', '.join(absent)}", scored=True)
    progress = _progress(folder / "progress.csv")
    return Run(folder, run.summary.name, run.summary, run.metrics, run.scores, progress, _regions(folder / REGIONS))


def _regions(path: Path) -> list[Row]:
    """The rows of regions (E401, E404)."""
    rows = read_metrics(path) if path.exists() else []
    if rows and (absent := [name for name in ("checkpoint", "predictor", *COLUMNS) if name not in rows[0]]):
        raise damaged(path, f"it lacks the columns {', '.join(absent)}", scored=True)
    return rows


def _progress(path: Path) -> list[dict[str, str]]:
    """The lines of a training's progress, its figures checked (E404)."""
    if not path.exists():
        return []
    try:
        rows = read_table(path)
        for row in rows:
            if not {"step", "stage"} <= set(row):
                raise Unusable("it lacks the columns step and stage")
            if not row["step"].isdecimal():
                raise Unusable(f"a row is of step {row['step']!r}")
            for name in row.keys() - {"step", "stage"}:
                float(row[name] or 0)  # ValueError
    except ValueError as fault:
        raise damaged(path, str(fault)) from fault
    return rows
