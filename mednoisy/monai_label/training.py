"""Rounds of training on the studies as they are labeled now, each a process that survives the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mednoisy.child_processes import PARENT
from mednoisy.composition.catalogue import DATALIST, PAGE
from mednoisy.data.counter_based_random import Draw
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.plans import PRETEXT, Plan, has_pretext, plan_of
from mednoisy.monai_label.studies import Study, found_studies, labeled, write_dataset
from mednoisy.monai_label.warm_start import write_start
from mednoisy.monai_label.workplace import Settings, Workplace, listed_numbers, read_state, write_state
from mednoisy.text_files import Unusable, read_table

ENDED = ("done", "failed", "stopped")
INTERRUPTED = "interrupted"  # neither ended nor at work, as after a power cut
LAST_LINES = 20
OF_A_ROUND = ("bundle", "classes", "recipe", "dataset", "steps", "seed", "set")  # settings that a plan does not hold


@dataclass
class Trainings:
    """The rounds of a folder of studies: what is running, how far it is; starts and stops them."""

    place: Workplace
    _process: subprocess.Popen | None = field(default=None, init=False)
    _one_at_a_time: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def start(self) -> dict[str, Any]:
        """Start a round on the labels that there are now, or go on with the last one if it has the same; its state.

        Raises:
            UserError: E577, one is running; E578, nothing is labeled; E2xx, an image that cannot be read.
        """
        with self._one_at_a_time:
            return self._start()

    def _start(self) -> dict[str, Any]:
        if self.running():
            raise UserError("E577", "a training is running", "Wait for it, or stop it first")
        studies, settings = found_studies(self.place), self.place.settings()
        plan, last = plan_of(studies, settings), self.last()
        digest = _digest(studies, settings, plan, pretext=has_pretext(self.place))
        if last is not None:
            state = self.state(last)
            if state["state"] != "done" and state["digest"] == digest:
                return self._launch(last, state)
        number = max(listed_numbers(self.place.folder / "rounds"), default=0) + 1
        folder = self._folder(number)
        held = [study for study in studies if study.id in plan.held]
        write_dataset(folder / "data", settings, studies, held)
        learned = [study.id for study in labeled(studies) if study.id not in plan.held]
        warm = write_start(self.place, folder / "start", plan.held, folds=plan.folds is not None)
        state = {
            "number": number, "digest": digest, "start": warm.parts, "labeled": learned, "held": list(plan.held),
            "unlabeled": plan.unlabeled, "folds": plan.folds, "method": plan.method or "the bundle's own",
            "remarks": [*plan.remarks, *([warm.remark] if warm.remark else [])],
        }  # fmt: skip
        return self._launch(number, state)

    def start_pretext(self) -> dict[str, Any] | None:
        """Begin, or go on, to learn the pretext of the settings from all studies; None where that is done, or unwished.

        Raises:
            UserError: E577, a training is running.
        """
        settings, studies = self.place.settings(), found_studies(self.place)
        if settings.pretext is None or has_pretext(self.place) or not studies:
            return None
        if self.running():
            raise UserError("E577", "a training is running", "Wait for it, or stop it first")
        folder = self.place.pretext
        if not (folder / "data" / DATALIST).is_file():
            unlabeled = [Study(study.id, study.image, None) for study in studies]
            write_dataset(folder / "data", settings, unlabeled, ())
        state = {
            "number": PRETEXT, "digest": "", "start": [], "labeled": [], "held": [], "unlabeled": len(studies),
            "folds": None, "method": settings.pretext, "remarks": [],
        }  # fmt: skip
        return self._launch(PRETEXT, state)

    def resume(self) -> dict[str, Any] | None:
        """Go on with a training that neither ended nor was stopped, as after a power cut; None where there is none."""
        pretext = PRETEXT if self.place.settings().pretext is not None else None  # it may be wished no more
        for number in (pretext, self.last()):
            if number is not None and (self._folder(number) / "round.json").is_file() and not self.running():
                state = self.state(number)
                if state["state"] not in ENDED:
                    return self._launch(number, state)
        return None

    def stop(self) -> dict[str, Any] | None:
        """Tell the training that is running to save and stop; its state, None where none is running.

        Raises:
            UserError: E577, it was started by another server and is only beginning.
        """
        if not self.running():
            return None
        state = self.newest()
        assert state is not None  # for it is running
        if self._process is not None and self._process.poll() is None:
            process = self._process.pid
        elif "pid" in state:
            process = state["pid"]
        else:
            raise UserError("E577", "a training is only beginning", "Wait for it, or stop it in a minute")
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(process, signal.SIGTERM)
        return state

    def running(self) -> bool:
        """Whether a training is at work, whoever started it; not one that has noted its end and is leaving."""
        alive = self._process is not None and self._process.poll() is None
        number = self._newest()
        if number is not None and read_state(self._folder(number) / "round.json")["state"] in ENDED:
            return False
        return alive or busy(self.place.folder / "training")

    def newest(self) -> dict[str, Any] | None:
        """The state of the training that was started last; None before the first."""
        number = self._newest()
        return None if number is None else self.state(number)

    def last(self) -> int | None:
        """Number of the last round; None before the first."""
        rounds = self.place.folder / "rounds"
        numbers = [number for number in listed_numbers(rounds) if (rounds / str(number) / "round.json").is_file()]
        return max(numbers, default=None)

    def state(self, number: int | str) -> dict[str, Any]:
        """What is known of a round (E580, its file is damaged), and of its process: `steps` done and the log's end."""
        folder = self._folder(number)
        state = read_state(folder / "round.json")
        if state["state"] not in ENDED and not self.running():
            state = {**state, "state": INTERRUPTED, "outcome": "interrupted; it goes on when it is started again"}
        return {**state, "steps": steps_done(folder / "run"), "details": log_lines(folder / "log.txt")}

    def _newest(self) -> int | str | None:
        """What was started last: a round, or a pretext, which is learned again where rounds before it failed."""
        there = [number for number in (PRETEXT, self.last())
                 if number is not None and (self._folder(number) / "round.json").is_file()]  # fmt: skip
        if len(there) < 2:
            return there[0] if there else None
        return max(there, key=lambda number: read_state(self._folder(number) / "round.json")["started"])

    def _launch(self, number: int | str, state: Mapping[str, Any]) -> dict[str, Any]:
        folder = self._folder(number)
        kept = {key: value for key, value in state.items() if key not in ("steps", "details", "outcome", "pid")}
        write_state(folder / "round.json", {**kept, "state": "waiting", "started": time.time()})
        self._process = launched("round", self.place, str(number), log=folder / "log.txt")  # and writes from now on
        return self.state(number)

    def _folder(self, number: int | str) -> Path:
        return self.place.pretext if number == PRETEXT else self.place.of_round(int(number))


def launched(module: str, place: Workplace, *words: str, log: Path) -> subprocess.Popen:
    """A process of a module here that goes on when this one ends; what it prints is added to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != PARENT}
    program = [sys.executable, "-m", f"mednoisy.monai_label.{module}", str(place.studies), *words]
    with open(log, "ab") as stream:
        return subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, start_new_session=True
        )


def busy(folder: Path) -> bool:
    """Whether a process has a folder for itself."""
    if not (folder / ".lock").is_file():
        return False
    try:
        with locked(folder):
            return False
    except UserError as fault:
        if fault.code != "E314":
            raise
        return True


def steps_done(run: Path) -> int:
    """Training steps that the log of a run, or of its folds together, tells of."""
    return sum(
        _steps(folder / "progress.csv")
        for folder in ([run / "folds" / str(n) for n in listed_numbers(run / "folds")] or [run])
    )


def _steps(progress: Path) -> int:
    try:
        rows = read_table(progress) if progress.is_file() else []
    except Unusable:  # its last line is being written
        return 0
    return max((int(row["step"]) for row in rows if row.get("step", "").isdecimal()), default=0)


def log_lines(log: Path, most: int = LAST_LINES) -> list[str]:
    """The last lines of a log."""
    if not log.is_file():
        return []
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-most:]


def serving_run(place: Workplace) -> Path | None:
    """Folder of the run whose network serves."""
    number = Deployed.read(place).round
    return None if number is None else place.of_round(number) / "run"


def networks_of(run: Path) -> list[Path]:
    """Folders of the single runs of a run."""
    return folds_of(run) or [run]


def _digest(studies: Sequence[Study], settings: Settings, plan: Plan, *, pretext: bool) -> str:
    """What tells trainings apart: studies, their labels as files, what learns from them and how, files of overlays.

    Not which device or how many threads do it, nor how studies are chosen, given out and kept.

    Args:
        pretext: whether a pretext has been learned, from which a network starts.
    """
    asked = {name: getattr(settings, name) for name in OF_A_ROUND}
    written = [_written(name) for name in (settings.bundle, plan.method, settings.recipe, settings.dataset)]
    how = (plan.method, plan.folds, plan.held, pretext, written)
    facts = [(study.id, study.label and study.label.stat().st_mtime_ns) for study in studies]
    return f"{Draw(0, repr((facts, asked, how)), 0).key(bits=64):016x}"


def _written(name: str | None) -> bytes:
    """What stands in an overlay's file, or in the page of a bundle's folder; nothing of those that have a name."""
    path = Path(name or "")
    if not path.is_absolute():
        return b""
    place = path / PAGE if path.is_dir() else path
    return place.read_bytes() if place.is_file() else b""
