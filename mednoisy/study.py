"""A grid of runs on one dataset: rows x labels x seed, one table, resumable at the first missing run."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mednoisy.child_processes import finish
from mednoisy.composition import checked_path, compose
from mednoisy.early_checks import check_pretext
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import MAIN_METRICS, write_metrics
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.files import locked, write_text
from mednoisy.report.checkpoint_names import any_validated
from mednoisy.report.reading.runs import Run, read_runs
from mednoisy.report.tables.centre_tables import seeds_by_centre
from mednoisy.report.tables.study_table import study_table
from mednoisy.study_rivals import FinishedRow, differences
from mednoisy.study_rows import Cell, Row, grid
from mednoisy.text_files import Unusable, read_json

OF_THE_STUDY: dict[str, str | None] = {  # settings of each of its runs, and the option that says so instead
    "labeled": "--labeled",
    "seed": "--seeds",
    "fold": "--folds",
    "dataset_dir": "--data",
    "output_dir": "--output",
    **dict.fromkeys(("model_file", "resume", "method_name", "recipe_name")),
}
ROW_COLUMNS = (
    "run", "method", "recipe", "settings", "labeled", "seed", "checkpoint", "predictor", "deployed", "step", "seconds",
    "processor_seconds",
    *MAIN_METRICS, "undefined", "hd95_penalised", "asd_penalised", "undefined_distances", "distances",
)  # fmt: skip


@dataclass
class Study:
    """Runs that differ in method, recipe, labels or seed and in nothing else.

    Each is a `mednoisy train` in a process of its own; a finished run is never repeated, an interrupted one
    goes on where it stopped.

    Args:
        bundle: name or folder.
        data: the prepared dataset.
        output: gets `runs/`, `rows.csv` (a row per run, checkpoint and predictor), `table.md`, `differences.md` and
            `comparison.html`; where cases name two or more centres also `groups.md`.
        methods: the rows, in full or as `Row.parse` reads them; the first is the baseline.
        labeled, seeds: the rest of the grid.
        steps: of each run, over all its stages.
        validation: cases of the unlabeled pool that choose checkpoints; None for the bundle's number.
        settings: entries of the configuration that all runs share.
        dataset: file of an overlay for data unlike the bundle's.
        folds: of each run, which is then cross-validated; None for runs that score the dataset's own test cases.
        threads: CPU threads of a run, where `OMP_NUM_THREADS` is not set; None leaves it to PyTorch.
    """

    bundle: str
    data: Path
    output: Path
    methods: Sequence[str | Row]
    labeled: Sequence[int]
    seeds: Sequence[int]
    steps: int
    validation: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    dataset: Path | None = None
    threads: int | None = None
    folds: int | None = None

    @property
    def table_rows(self) -> list[Row]:
        """The rows, in order."""
        return [Row.parse(row) if isinstance(row, str) else row for row in self.methods]

    @property
    def cells(self) -> list[Cell]:
        """All runs, in order."""
        return grid(self.table_rows, self.labeled, self.seeds)

    @property
    def table_file(self) -> Path:
        return self.output / "table.md"

    def run(self) -> list[str]:
        """Train what is missing, one run after the other; the names of runs that failed.

        Raises:
            UserError: before the first run: E101 an unknown bundle, method or recipe, E103 a setting that a row has no
                use for, E356 one that is the study's own, E501 an unknown pretext, E351 the folder holds a study with
                other settings, E352 two rows of one name, E314 the folder is another process's; E350 stopped by a
                signal, after the run has saved.
        """
        with locked(self.output):
            return self._run()

    def _run(self) -> list[str]:
        self._check()
        failed = []
        self.write()
        for number, cell in enumerate(self.cells, 1):
            if not self._finished(cell):
                print(f"run {number} of {len(self.cells)}: {cell.name}", flush=True)
                code, stopped = finish(self._command(cell), self.threads)
                if stopped:
                    raise UserError("E350", f"{cell.name} was stopped", "Call the study again to go on", exit_code=1)
                if code:
                    failed.append(cell.name)
                self.write()
        return failed

    def _check(self) -> None:
        if self.folds is not None and self.validation:
            cure = "Drop --validation: the last checkpoint of each fold counts"
            raise UserError("E113", "--validation does not go with --folds", cure)
        for row in self.table_rows:
            check_row(row, self.bundle, self.settings, self.dataset)
        name, count = Counter(cell.name for cell in self.cells).most_common(1)[0]
        if count > 1:
            plain = not any(cell.row.settings or cell.row.name for cell in self.cells if cell.name == name)
            cure = "Rename an overlay's file" if plain else "Give one of them a `name` of its own in a file of rows"
            raise UserError("E352", f"{count} rows would be called {name}", cure)
        checked_path(self.output, "--output")
        known = self.output / "study.json"
        fixed = self._fixed()
        before, rows = _noted(known) if known.is_file() else (fixed, {})
        for key in sorted({*before, *fixed}):
            self._compare(key, before.get(key), fixed.get(key))
        for row in self.table_rows:
            definition = row.definition
            self._compare(f"row {row.folder!r}", rows.setdefault(row.folder, definition), definition)
        write_text(known, json.dumps({**fixed, "rows": rows}, indent=1, ensure_ascii=False) + "\n")

    def _fixed(self) -> dict[str, Any]:
        """What all calls of a study have in common."""
        fixed = {
            "bundle": self.bundle,
            "data": checked_path(self.data, "--data"),
            "steps": self.steps,
            "validation": self.validation,
            "settings": {key: repr(value) for key, value in self.settings.items()},
        }
        if self.folds is not None:
            fixed["folds"] = self.folds
        if self.dataset is not None:
            fixed["dataset"] = checked_path(self.dataset, "--dataset")
        return fixed

    def _compare(self, key: str, before: Any, now: Any) -> None:
        if before != now:
            raise UserError(
                "E351",
                f"the study in {self.output} has {key} {before!r}, this one {now!r}",
                "Go on with the same settings, or give another --output",
            )

    def folder(self, cell: Cell) -> Path:
        return self.output / "runs" / cell.name

    def _finished(self, cell: Cell) -> bool:
        return (self.folder(cell) / "report.html").is_file()

    def _command(self, cell: Cell) -> list[str]:
        folder = self.folder(cell)
        command = [sys.executable, "-m", "mednoisy", "train"]
        if (folder / "config.yaml").is_file():
            return [*command, "--resume", str(folder)]
        command += [self.bundle, "--data", str(self.data)]
        command += ["--output", str(folder), "--method", cell.method, "--recipe", cell.recipe]
        command += ["--labeled", str(cell.labeled), "--seed", str(cell.seed), "--steps", str(self.steps)]
        if self.dataset is not None:
            command += ["--dataset", str(self.dataset)]
        if self.validation is not None:
            command += ["--validation", str(self.validation)]
        if self.folds is not None:
            command += ["--folds", str(self.folds)]
        for key, value in {**self.settings, **cell.row.settings}.items():
            command += ["--set", f"{key}={value!r}"]
        return command + (["--resume"] if (folder / "run.json").is_file() else [])

    def rows(self) -> list[dict[str, Any]]:
        """A row per finished run, checkpoint and predictor; means over test cases and classes."""
        rows = []
        for cell in self.cells:
            if not self._finished(cell):
                continue
            summary = read_summary(self.folder(cell))
            for name, checkpoint in summary.checkpoints.items():
                for predictor, figures in checkpoint.predictors.items():
                    row: dict[str, Any] = {
                        "run": cell.name,
                        "method": Path(cell.method).stem,
                        "recipe": Path(cell.recipe).stem,
                        "labeled": cell.labeled,
                        "seed": cell.seed,
                        "checkpoint": name,
                        "predictor": predictor,
                        "deployed": predictor == summary.deployed,
                        "step": checkpoint.step,
                        "seconds": summary.facts["seconds"],
                        "processor_seconds": summary.facts.get("processor_seconds"),  # unknown of older runs
                        "undefined": sum(figures.over_classes[metric].undefined for metric in MAIN_METRICS),
                        "hd95_penalised": figures.over_classes["hd95"].penalised,
                        "asd_penalised": figures.over_classes["asd"].penalised,
                        "undefined_distances": figures.over_classes["hd95"].undefined,
                        "distances": figures.pairs,
                    }
                    row |= {metric: figures.over_classes[metric].mean for metric in MAIN_METRICS}
                    rows.append(row)
        return rows

    def write(self) -> None:
        """Bring the table, the rows and the page up to date with the finished runs."""
        rows = self.rows()
        if not rows:
            return
        row_of = {cell.name: cell.row for cell in self.cells}
        listed = [row | {"settings": row_of[row["run"]].listed_settings} for row in rows]
        write_metrics(self.output / "rows.csv", listed, ROW_COLUMNS)
        finished = self.finished()
        runs = [run for row in finished for run in row.runs.values()]
        titled = [row | {"method": row_of[row["run"]].title} for row in rows]
        intervals = {
            (row.labeled, row.row.title, row.recipe, predictor): row.mean(predictor).interval
            for row in finished
            for predictor in _predictors(row)
        }
        validated = any_validated(runs)
        write_text(self.table_file, study_table(titled, runs[0].unit, validated=validated, intervals=intervals))
        write_text(self.output / "differences.md", differences(finished, self.bundle, self.dataset))
        groups = {(row.labeled, row.row.title, row.recipe): list(row.runs.values()) for row in finished}
        if by_centre := seeds_by_centre(groups):
            write_text(self.output / "groups.md", by_centre)
        from mednoisy.report.run_page import write_report

        folders = [self.folder(cell) for cell in self.cells if self._finished(cell)]
        write_report(folders, self.output / "comparison.html")

    def finished(self) -> list[FinishedRow]:
        """The finished runs by labels and row, in the order of the grid."""
        done = [cell for cell in self.cells if self._finished(cell)]
        runs = read_runs([self.folder(cell) for cell in done]) if done else []
        of_row: dict[tuple[int, str], list[tuple[Cell, Run]]] = defaultdict(list)
        for cell, run in zip(done, runs, strict=True):
            of_row[cell.labeled, cell.row.folder].append((cell, run))
        return [
            FinishedRow(members[0][0].row, members[0][0].labeled, {cell.seed: run for cell, run in members})
            for members in of_row.values()
        ]


def check_row(
    row: Row,
    bundle: str,
    shared: Mapping[str, Any],
    dataset: Path | None = None,
    options: Mapping[str, str | None] = OF_THE_STUDY,
) -> None:
    """Refuse a row that no run could be made of.

    Args:
        shared: settings of all rows.
        options: of the command, by the setting that each stands for.

    Raises:
        UserError: E101, E103, E354, E356 and E501, as `Study.run`.
    """
    settings = {**shared, **row.settings}
    if taken := sorted(settings.keys() & OF_THE_STUDY):
        cause = f"the setting {taken[0]!r} is what a study gives to each of its runs"
        option = options.get(taken[0])
        raise UserError("E356", cause, f"Drop it, and use {option}, in a file its entry" if option else "Drop it")
    composed = compose(bundle, row.method, row.recipe, dataset=dataset, overrides=settings)
    composed.check_overrides()
    check_pretext(composed.config | settings)
    row.check_name()


def _predictors(row: FinishedRow) -> list[str]:
    return list(dict.fromkeys(str(line["predictor"]) for run in row.runs.values() for line in run.scores))


def _noted(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `study.json` says that all calls have in common, and of the rows (E319)."""
    try:
        fixed = read_json(path)
        rows = fixed.pop("rows", {}) if isinstance(fixed, dict) else None
        if not isinstance(rows, dict):
            raise Unusable("it holds no table")
    except Unusable as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or give another --output") from fault
    return fixed, rows
