"""A grid of runs on one dataset: rows x labels x seed, one table, resumable at the first missing run."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mednoisy.child_processes import finish
from mednoisy.composition import checked_path
from mednoisy.composition.catalogue import DATALIST
from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.files import locked, write_text
from mednoisy.report.tables.start_tables import PretextCost
from mednoisy.studies.pretexts import PretextRun, pretexts_of
from mednoisy.studies.results import TABLE, Done, finished_rows, result_rows, write_results, write_starts
from mednoisy.studies.rivals import FinishedRow
from mednoisy.studies.row_checks import check_row, check_start
from mednoisy.studies.rows import Cell, Row, grid
from mednoisy.studies.starts import NOTHING
from mednoisy.text_files import Unusable, read_json

PRETEXT_STEPS, POOL, ROWS = "pretext_steps", "labeled_pool", "rows"  # entries of study.json that later calls may add


@dataclass
class Study:
    """Runs that differ in start, method, recipe, labels or seed and in nothing else.

    Each is a `mednoisy train` in a process of its own; a finished run is never repeated, an interrupted one
    goes on where it stopped.

    Args:
        bundle: name or folder.
        data: the prepared dataset.
        output: gets `runs/`, `rows.csv` (a row per run, checkpoint and predictor), `table.md`, `differences.md` and
            `comparison.html`; where cases name two or more centres also `groups.md`; where rows start from something
            also `pretexts/`, `starts.html` and `starts.md`.
        methods: the rows, in full or as `Row.parse` reads them; the first is the baseline.
        labeled, seeds: the rest of the grid.
        steps: of each run, over all its stages.
        validation: cases of the unlabeled pool that choose checkpoints; None for the bundle's number.
        settings: entries of the configuration that all runs share.
        dataset: file of an overlay for data unlike the bundle's.
        folds: of each run, which is then cross-validated; None for runs that score the dataset's own test cases.
        threads: CPU threads of a run, where `OMP_NUM_THREADS` is not set; None leaves it to PyTorch.
        starts: what each row starts from: "scratch", pretexts, `pretrained:FILE`. None is scratch, and lets settings
            of rows name a pretext. A pretext is learned once a seed, by a run that the rows share which start from it.
        pretext_steps: of these runs, beside the steps of the rows; None for a quarter of those.
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
    starts: Sequence[str] | None = None
    pretext_steps: int | None = None

    @property
    def table_rows(self) -> list[Row]:
        """The rows, in order, each from all of its starts."""
        rows = [Row.parse(row) if isinstance(row, str) else row for row in self.methods]
        return [each for row in rows for each in row.from_each(self.starts or [NOTHING])]

    @property
    def compares_starts(self) -> bool:
        """Whether starts are named, be it scratch alone."""
        return self.starts is not None or any(not isinstance(row, str) and row.starts for row in self.methods)

    @property
    def steps_of_pretexts(self) -> int:
        """Steps of a run that learns a pretext."""
        return self.pretext_steps or max(1, self.steps // 4)

    @property
    def cells(self) -> list[Cell]:
        """All runs, in order."""
        return grid(self.table_rows, self.labeled, self.seeds)

    @property
    def table_file(self) -> Path:
        return self.output / TABLE

    def run(self) -> list[str]:
        """Train what is missing, one run after the other; the names of runs that failed.

        Raises:
            UserError: before the first run: E101 an unknown bundle, method or recipe, E103 a setting that a row has no
                use for, E356 one that is the study's own, E501 an unknown pretext, E546 an unknown start, and what
                `check_start` refuses of those that are there, E351 the folder holds a study with other settings, E352
                two rows of one name, E314 the folder is another process's; E350 stopped by a signal, after the run has
                saved.
        """
        with locked(self.output):
            return self._run()

    def _run(self) -> list[str]:
        self._check()
        failed: list[str] = []
        self.write()
        for number, cell in enumerate(self.cells, 1):
            if is_finished(self.folder(cell)):
                continue
            pretext = self._pretexts.get(cell.name)
            if pretext is not None and not is_finished(self.pretext_folder(pretext)):
                if pretext.name not in failed:
                    self._train(f"pretext {pretext.name}", pretext.name, self._pretext_command(pretext), failed)
                if pretext.name in failed:
                    failed.append(cell.name)
                    continue
            self._train(f"run {number} of {len(self.cells)}: {cell.name}", cell.name, self._command(cell), failed)
            self.write()
        return failed

    def _train(self, told: str, name: str, command: Sequence[str], failed: list[str]) -> None:
        """Run a command to its end; one that fails is noted (E350, stopped by a signal)."""
        print(told, flush=True)
        code, stopped = finish(command, self.threads)
        if stopped:
            raise UserError("E350", f"{name} was stopped", "Call the study again to go on", exit_code=1)
        if code:
            failed.append(name)

    def _check(self) -> None:
        if self.folds is not None and self.validation:
            cure = "Drop --validation: the last checkpoint of each fold counts"
            raise UserError("E113", "--validation does not go with --folds", cure)
        for row in self.table_rows:
            check_row(row, self.bundle, self.settings, self.dataset)
            if self.compares_starts:
                check_start(row, self.bundle, self.settings, self.dataset, self.folds)
        name, count = Counter(cell.name for cell in self.cells).most_common(1)[0]
        if count > 1:
            rows = [cell.row for cell in self.cells if cell.name == name]
            cure = "Give one of them a `name` of its own in a file of rows"
            if len({row.start for row in rows}) > 1:
                cure = "Rename one of the files of weights"
            elif not any(row.settings or row.name for row in rows):
                cure = "Rename an overlay's file"
            raise UserError("E352", f"{count} rows would be called {name}", cure)
        checked_path(self.output, "--output")
        known = self.output / "study.json"
        fixed = self._fixed()
        before, added = _noted(known) if known.is_file() else (fixed, {})
        for key in sorted({*before, *fixed}):
            self._compare(key, before.get(key), fixed.get(key))
        rows = added.setdefault(ROWS, {})
        for row in self.table_rows:
            definition = row.definition
            self._compare(f"row {row.folder!r}", rows.setdefault(row.folder, definition), definition)
        if any(row.start.pretext for row in self.table_rows):
            steps = self.steps_of_pretexts
            self._compare(PRETEXT_STEPS, added.setdefault(PRETEXT_STEPS, steps), steps)
        if self.compares_starts:
            added[POOL] = len(Datalist.load(self.data / DATALIST).patients("labeled"))
        write_text(known, json.dumps({**fixed, **added}, indent=1, ensure_ascii=False) + "\n")

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

    def pretext_folder(self, pretext: PretextRun) -> Path:
        return self.output / "pretexts" / pretext.name

    @cached_property
    def _pretexts(self) -> dict[str, PretextRun]:
        """By name of a run, that of the pretext from which it starts."""
        return pretexts_of(self.cells, self.bundle, self.dataset, self.settings)

    def _command(self, cell: Cell) -> list[str]:
        words = ["--method", cell.method, "--recipe", cell.recipe, "--labeled", str(cell.labeled)]
        words += ["--seed", str(cell.seed), "--steps", str(self.steps)]
        if (pretext := self._pretexts.get(cell.name)) is not None:
            words += ["--pretext-from", str(self.pretext_folder(pretext))]
        if cell.row.start.file is not None:
            words += ["--pretrained", str(cell.row.start.file)]
        return self._train_command(self.folder(cell), words, {**self.settings, **cell.row.settings})

    def _pretext_command(self, pretext: PretextRun) -> list[str]:
        """Its images are those of all training cases, whatever the number of labels."""
        words = ["--method", pretext.pretext, "--labeled", str(min(cell.labeled for cell in self.cells))]
        words += ["--seed", str(pretext.seed), "--steps", str(self.steps_of_pretexts)]
        return self._train_command(self.pretext_folder(pretext), words, pretext.entries)

    def _train_command(self, folder: Path, words: Sequence[str], entries: Mapping[str, Any]) -> list[str]:
        """The command that trains a run or goes on with it."""
        command = [sys.executable, "-m", "mednoisy", "train"]
        if (folder / "config.yaml").is_file():
            return [*command, "--resume", str(folder)]
        command += [self.bundle, "--data", str(self.data), "--output", str(folder), *words]
        if self.dataset is not None:
            command += ["--dataset", str(self.dataset)]
        if self.validation is not None:
            command += ["--validation", str(self.validation)]
        if self.folds is not None:
            command += ["--folds", str(self.folds)]
        for key, value in entries.items():
            command += ["--set", f"{key}={value!r}"]
        return command + (["--resume"] if (folder / "run.json").is_file() else [])

    def rows(self) -> list[dict[str, Any]]:
        """A row per finished run, checkpoint and predictor; means over test cases and classes."""
        return result_rows(self._done())

    def finished(self) -> list[FinishedRow]:
        """The finished runs by labels and row, in the order of the grid."""
        return finished_rows(self._done())

    def _done(self) -> list[Done]:
        """The finished runs with their folders, in order."""
        return [(cell, folder) for cell in self.cells if is_finished(folder := self.folder(cell))]

    def write(self) -> None:
        """Bring the table, the rows and the pages up to date with the finished runs."""
        done = self._done()
        if not done:
            return
        finished = finished_rows(done)
        write_results(self.output, done, finished, self.bundle, self.dataset, self.settings)
        if any(row.row.start for row in finished):
            write_starts(self.output, finished, self.pool, self._costs())

    @property
    def pool(self) -> int | None:
        """How many cases (or patients) could be labeled, as `study.json` has it; None where it does not."""
        known = self.output / "study.json"
        noted = _noted(known)[1].get(POOL) if known.is_file() else None
        return noted if isinstance(noted, int) and noted > 0 else None

    def _costs(self) -> list[PretextCost]:
        """Of the pretexts that rows start from, as far as they are finished."""
        seconds: dict[str, list[float]] = {}
        for pretext in {each.name: each for each in self._pretexts.values()}.values():
            if is_finished(folder := self.pretext_folder(pretext)):
                seconds.setdefault(pretext.kind, []).append(float(read_summary(folder).facts["seconds"]))
        return [
            PretextCost(kind, self.steps_of_pretexts, tuple(each / 60 for each in of)) for kind, of in seconds.items()
        ]


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return (folder / "report.html").is_file()


def _noted(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `study.json` says that all calls have in common, and what later ones may add (E319)."""
    try:
        fixed = read_json(path)
        if not isinstance(fixed, dict) or not isinstance(fixed.get(ROWS, {}), dict):
            raise Unusable("it holds no table")
    except Unusable as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or give another --output") from fault
    return fixed, {name: fixed.pop(name) for name in (ROWS, PRETEXT_STEPS, POOL) if name in fixed}
