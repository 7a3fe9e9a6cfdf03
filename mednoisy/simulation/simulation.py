"""Annotation simulated on a dataset whose labels are all known: train, query, reveal, again; one page of curves."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mednoisy.active.catalogue import COLD, known_strategy
from mednoisy.active.simulated_curves import curves_of
from mednoisy.child_processes import finish
from mednoisy.composition import checked_path, compose
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.evaluation.metrics import write_metrics
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.files import locked, write_text
from mednoisy.simulation.choices import Choices, Query, query_of_run, read_table
from mednoisy.simulation.pool import LabeledPool, needs_no_network
from mednoisy.simulation.rows import (
    ALL_LABELS,
    COLUMNS,
    Training,
    all_labels_row,
    for_each_strategy,
    learns_without_labels,
    row_of,
    trainings,
    unlabeled_drawn,
)
from mednoisy.studies.row_checks import check_row
from mednoisy.studies.rows import Row

OF_THE_SIMULATION = {"labeled": "--start", "seed": "--seeds", "dataset_dir": "--data", "output_dir": "--output"}


@dataclass
class Simulation:
    """Rounds of training, query and revealed labels, for each strategy, method and seed.

    The labels of the training section are hidden but for those of `start` patients; each round a strategy chooses
    `budget` more, whose labels are revealed, and networks are trained from scratch on what is labeled then; the rest
    of the pool stays there without labels. Patients are counted where cases name them: all cases of a chosen patient
    are revealed. The dataset's own validation section is left out, for its labels would come for free; the test
    section scores the last checkpoint of each training. All strategies, and all methods, share the start of a seed.

    Each training is a `mednoisy train` in a process of its own, and every choice a file: what was interrupted, at
    whatever point, goes on there with the same result.

    Args:
        bundle: name or folder.
        data: the prepared dataset.
        output: gets `starts/`, `runs/`, `all_labels/`, `rows.csv`, `table.md` and `simulation.html`.
        strategies: names of the catalogue.
        methods: as those of a study.
        start: patients labeled at the start.
        budget: patients that a round adds.
        rounds: of query and training, after the training of the start.
        seeds: each has its start and its draws, and initial weights that all its trainings share.
        steps: of each training, over all its stages.
        settings: entries of the configuration that all trainings share.
        dataset: file of an overlay for data unlike the bundle's.
        start_strategy: chooses the start; one that needs features takes those of `start_run`.
        start_run: folder of a finished run on the same dataset, such as a pretext's.
        pooling: how a score of voxels becomes one of a case; None for the query's own rule.
        threads: CPU threads of a training, where `OMP_NUM_THREADS` is not set.
        device: of trainings and queries; None for the first GPU, or the CPU.
        trust: whether configurations may be any program, as those of methods of one's own are.
        query: chooses by a finished run, for strategies that need its network.
    """

    bundle: str
    data: Path
    output: Path
    strategies: Sequence[str]
    methods: Sequence[str | Row]
    start: int
    budget: int
    rounds: int
    seeds: Sequence[int]
    steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    dataset: Path | None = None
    start_strategy: str = "random"
    start_run: Path | None = None
    pooling: str | None = None
    threads: int | None = None
    device: str | None = None
    trust: bool = False
    query: Query = query_of_run

    @cached_property
    def rows(self) -> list[Row]:
        """The methods, in order."""
        return [Row.parse(row) if isinstance(row, str) else row for row in self.methods]

    @cached_property
    def trainings(self) -> list[Training]:
        """All of them, in the order in which they are run: what they begin from comes before."""
        return trainings(self.rows, list(dict.fromkeys(self.strategies)), self.rounds, self.seeds)

    @cached_property
    def pool(self) -> LabeledPool:
        """The cases whose labels are revealed."""
        config = compose(self.bundle, self.rows[0].method, dataset=self.dataset).config
        names = self.settings.get("label_names", config.get("label_names"))
        return LabeledPool.load(Path(self.data), len(names) if isinstance(names, list) else None)

    @cached_property
    def choices(self) -> Choices:
        """Which patients each training has labels of."""
        settings = {"pooling": self.pooling, "trust": self.trust, "device": self.device}
        return Choices(
            self.pool, self.output, self.start, self.budget, self.rounds, self.query,
            start_strategy=self.start_strategy, start_run=self.start_run, query_settings=settings,
        )  # fmt: skip

    @property
    def page(self) -> Path:
        return self.output / "simulation.html"

    def run(self) -> list[str]:
        """Do what is missing, one training after the other; the names of trainings that failed.

        Raises:
            UserError: before the first training: E101, E103, E354 and E356 as `study.check_row`; E395 an unknown
                strategy; E402 a start run that is not finished; E515 an unknown pooling; E531 a pool too small,
                E532 another simulation's folder, E533 no test cases,
                E535 two methods of one name, E537 a start that cannot be chosen; E314 the folder is another
                process's; what is wrong with the datalist or a label. E534 stopped by a signal, after the
                training has saved.
        """
        self.check()
        with locked(self.output, "**"):
            self._note()
            return self._run()

    def _run(self) -> list[str]:
        failed = []
        self.write()
        for number, training in enumerate(self.trainings, 1):
            before = training.before
            if self.finished(training) or (before is not None and not self.finished(before)):
                continue
            print(f"training {number} of {len(self.trainings)}: {training.name}", flush=True)
            if not self._train(training):
                failed.append(training.name)
            self.write()
        return failed

    def _train(self, training: Training) -> bool:
        """Choose what is labeled, train on it and score that; whether it went well."""
        try:
            labeled = self.choices.labeled(training)
        except UserError as fault:
            if fault.exit_code == DONE_IN_PART:
                raise
            print(f"mednoisy: {training.name}: {fault}", file=sys.stderr)
            return False
        datalist = self.folder(training) / "data" / "datalist.json"
        if not datalist.is_file():
            self.pool.datalist_with(labeled).save(datalist)
        code, stopped = finish(self._command(training, len(labeled)), self.threads)
        if stopped:
            raise UserError("E534", f"{training.name} was stopped", "Call the simulation again to go on", exit_code=1)
        return code == 0

    def check(self) -> None:
        """Refuse what could not be done to its end, before any training.

        Raises:
            UserError: as `run`.
        """
        for name in (*self.strategies, self.start_strategy):
            known_strategy(name)
        if not needs_no_network(self.start_strategy) and (self.start_run is None or self.start_strategy not in COLD):
            cause = f"the strategy {self.start_strategy} cannot choose the start: there is no network yet"
            cure = f"Take random, or one of {', '.join(COLD)} with --start-run, a run that gives features"
            raise UserError("E537", cause, cure)
        for row in self.rows:
            check_row(row, self.bundle, self.settings, self.dataset, OF_THE_SIMULATION)
            if same := [other for other in self.rows if other.folder == row.folder and other != row]:
                cause = f"the methods {row.definition!r} and {same[0].definition!r} would both be called {row.folder}"
                raise UserError("E535", cause, "Give one of them a `name` of its own in a file")
        checked_path(self.output, "--output")
        if self.pooling is not None:
            from mednoisy.active.scoring import checked_pooling  # loads PyTorch

            checked_pooling(self.pooling)
        if self.start_run is not None:
            read_summary(self.start_run)
        composed = {row.definition: self._config(row) for row in self.rows}
        learners = {name: unlabeled_drawn(config) for name, config in composed.items() if learns_without_labels(config)}
        self.pool.check_size(self.start, self.budget, self.rounds, learners)
        self.pool.cost(self.pool.patients)  # reads every label

    def _config(self, row: Row) -> dict[str, Any]:
        """The entries of a row's trainings."""
        settings = {**self.settings, **row.settings}
        return {**compose(self.bundle, row.method, row.recipe, (), settings, self.dataset).config, **settings}

    def _note(self) -> None:
        """Note what all calls have in common, and refuse another simulation's folder (E532)."""
        known = self.output / "simulation.json"
        if not known.is_file() and any(not entry.name.startswith(".") for entry in self.output.iterdir()):
            raise UserError("E532", f"{self.output} holds other files", "Give an empty folder with --output")
        now = {
            "bundle": self.bundle,
            "data": checked_path(self.data, "--data"),
            "split": self.pool.datalist.split_digest,
            "dataset": None if self.dataset is None else checked_path(self.dataset, "--dataset"),
            "settings": {key: repr(value) for key, value in self.settings.items()},
            **{name: getattr(self, name) for name in ("start", "budget", "rounds", "steps", "start_strategy")},
            "start_run": None if self.start_run is None else checked_path(self.start_run, "--start-run"),
            "pooling": self.pooling,
        }
        before = read_table(known) if known.is_file() else now
        rows = before.pop("methods", {})
        for key in sorted({*before, *now}):
            self._compare(key.replace("_", " "), before.get(key), now.get(key))
        for row in self.rows:
            self._compare(f"method {row.folder!r}", rows.setdefault(row.folder, row.definition), row.definition)
        write_text(known, json.dumps({**now, "methods": rows}, indent=1, ensure_ascii=False) + "\n")

    def _compare(self, key: str, before: Any, now: Any) -> None:
        if before != now:
            cause = f"the simulation in {self.output} has {key} {before!r}, this one {now!r}"
            raise UserError("E532", cause, "Go on with the same, or give another --output")

    def folder(self, training: Training) -> Path:
        """Of a training: `data/` that it reads, `picks.json` that led to it, `run/`."""
        return self.output / training.folder

    def finished(self, training: Training) -> bool:
        """Whether it is trained and scored."""
        return (self.folder(training) / "run" / "report.html").is_file()

    def _command(self, training: Training, labeled: int) -> list[str]:
        folder, row = self.folder(training), training.row
        run = folder / "run"
        command = [sys.executable, "-m", "mednoisy", "train"]
        more = ["--device", self.device] if self.device else []
        if (run / "config.yaml").is_file():
            return [*command, "--resume", str(run), *more, *(["--trust"] if self.trust else [])]
        command += [self.bundle, "--data", str(folder / "data"), "--output", str(run)]
        command += ["--method", row.method, "--recipe", row.recipe, "--labeled", str(labeled), "--validation", "0"]
        command += ["--seed", str(training.seed), "--steps", str(self.steps), *more]
        if self.dataset is not None:
            command += ["--dataset", str(self.dataset)]
        # a few labeled pictures may be fewer than a batch
        for key, value in {"train#stream#repeated": True, **self.settings, **row.settings}.items():
            command += ["--set", f"{key}={value!r}"]
        return command + (["--resume"] if (run / "run.json").is_file() else [])

    def write(self) -> None:
        """Bring rows, table and page up to date with the finished trainings."""
        done = [training for training in self.trainings if self.finished(training)]
        own = [
            row_of(training, self.folder(training) / "run", self.pool.cost(self.choices.labeled(training)))
            for training in done
        ]
        if not own:
            return
        strategies = list(dict.fromkeys(self.strategies))
        rows = for_each_strategy(own, strategies)
        write_metrics(self.output / "rows.csv", rows, COLUMNS)
        upper = [row for row in rows if row["strategy"] == ALL_LABELS]
        all_labels = {
            row.folder: [line for line in upper if line["name"] == all_labels_row(row).folder] for row in self.rows
        }
        methods = curves_of([row for row in rows if row["strategy"] != ALL_LABELS], all_labels, self.rounds)
        if methods:
            from mednoisy.report.simulation_page import write_simulation_page  # loads matplotlib

            write_simulation_page(self.output, methods, self._facts, self._remarks(len(done)))

    @property
    def _facts(self) -> dict[str, Any]:
        """What was simulated, for a reader."""
        datalist = self.pool.datalist
        return {
            "dataset": datalist.name,
            "bundle": self.bundle,
            "start": self.start,
            "chosen by": self.start_strategy,
            "budget": self.budget,
            "rounds": self.rounds,
            "seeds": ", ".join(str(seed) for seed in dict.fromkeys(self.seeds)),
            "steps of a training": self.steps,
            "pool, patients": len(self.pool.patients),
            "pool, cases": len(self.pool.cases),
            "test cases": len(datalist.sections["test"]),
            **{key: str(value) for key, value in self.settings.items()},
        }

    def _remarks(self, done: int) -> list[str]:
        """What a reader has to know first."""
        remarks = []
        if done < len(self.trainings):
            remarks.append(f"{done} of {len(self.trainings)} trainings are finished; the figures are of these.")
        if self.pool.without_reference:
            remarks.append(f"{self.pool.without_reference} unlabeled cases have no reference and take no part.")
        return remarks
