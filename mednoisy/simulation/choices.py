"""What each training of a simulation has labels of: chosen once, written, and read again ever after."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mednoisy.active.pool import Pick, query_draw
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.simulation.pool import LabeledPool, needs_no_network
from mednoisy.simulation.rows import ALL_LABELS, Training
from mednoisy.text_files import Unusable, read_json

START_DRAW = "start"  # the stream of what is random in the choice of the first patients
Query = Callable[..., Sequence[Pick]]


def query_of_run(run: Path, strategy: str, budget: int, **settings: Any) -> Sequence[Pick]:
    """What a strategy chooses from the unlabeled cases of a finished run, by its networks."""
    from mednoisy.queries.query_with_run import query_run  # loads PyTorch

    return query_run(run, strategy, budget, **settings)


@dataclass
class Choices:
    """The patients that strategies choose for the trainings of a simulation, each choice a file.

    Args:
        pool: to choose from.
        output: folder of the simulation.
        start, budget: patients at the start, and that each round adds.
        rounds: after the start.
        query: chooses by a finished run, for strategies that need its network; for the start it is given the whole
            pool as `cases`, for the run may have had labels that the simulation hides.
        start_strategy, start_run: as those of `Simulation`.
        query_settings: further arguments of `query`.
    """

    pool: LabeledPool
    output: Path
    start: int
    budget: int
    rounds: int
    query: Query
    start_strategy: str = "random"
    start_run: Path | None = None
    query_settings: Mapping[str, Any] = field(default_factory=dict)

    def labeled(self, training: Training) -> list[str]:
        """The patients whose labels a training has, in the order in which they were revealed; chosen now if need be.

        Raises:
            UserError: what a strategy refuses; E319, a file of choices is damaged.
        """
        if training.strategy == ALL_LABELS:
            return self.pool.patients
        if training.before is None:
            return self._kept(self.output / "starts" / f"seed{training.seed}.json", lambda: self._start(training.seed))
        before = self.labeled(training.before)
        picks = self.output / training.folder / "picks.json"
        return before + self._kept(picks, lambda: self._picked(training, before))

    def _start(self, seed: int) -> Sequence[Pick]:
        if needs_no_network(self.start_strategy):
            return self.pool.chosen(self.start_strategy, self.start, Draw(seed, START_DRAW, 0))
        cases = [{key: value for key, value in case.items() if key != "label"} for case in self.pool.cases]
        return self._query(self.start_run, self.start_strategy, self.start, seed, 0, cases=cases)

    def _picked(self, training: Training, labeled: Sequence[str]) -> Sequence[Pick]:
        number, strategy = training.round - 1, training.strategy
        if needs_no_network(strategy):
            draw = query_draw(training.seed, number)
            return self.pool.chosen(strategy, self.budget, draw, labeled, number, self.rounds + 1)
        assert training.before is not None  # a round follows another training
        run = self.output / training.before.folder / "run"
        return self._query(run, strategy, self.budget, training.seed, number)

    def _query(
        self, run: Path | None, strategy: str, budget: int, seed: int, number: int, **more: Any
    ) -> Sequence[Pick]:
        settings = {**self.query_settings, **more}
        return self.query(run, strategy, budget, seed=seed, number=number, rounds=self.rounds + 1, **settings)

    def _kept(self, path: Path, choose: Callable[[], Sequence[Pick]]) -> list[str]:
        """The patients that a file of choices names; made first where there is none."""
        if not path.is_file():
            write_text(path, self._listed(choose()))
        patients = read_table(path).get("patients")
        if not isinstance(patients, list) or not set(patients) <= set(self.pool.patients):
            cause = f"{path} is damaged: it names no patients of the dataset"
            raise UserError("E319", cause, "Remove it with all rounds after it, or give another --output")
        return patients

    def _listed(self, picks: Sequence[Pick]) -> str:
        """The text of a file of choices."""
        listed = [
            {"id": pick.id, "score": pick.score if math.isfinite(pick.score) else None, "reason": pick.reason}
            for pick in picks
        ]
        content = {"patients": self.pool.patients_of_picks(picks), "picks": listed}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_table(path: Path) -> dict[str, Any]:
    """What a JSON file of a simulation holds (E319)."""
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise Unusable("it holds no table")
    except Unusable as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or give another --output") from fault
    return content
