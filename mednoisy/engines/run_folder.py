"""The folder of a run: one process at a time, one run a folder, every file whole."""

from __future__ import annotations

import fcntl
import json
import logging
import sys
from pathlib import Path
from typing import IO

from mednoisy.errors import UserError
from mednoisy.files import write_text

LOGGER = logging.getLogger("mednoisy")
CHANGEABLE = {"steps_total"}  # facts that may differ when a run is resumed


class RunFolder:
    """`run.json`, `config.yaml`, `log.txt`, `progress.csv`, `checkpoints/`, `predictions/` and reports of one run.

    Args:
        path: the folder; made when the run starts.
        resume: go on with the run in it. Without, a folder that holds anything is refused.
        facts: what the run is (dataset, method, recipe, labeled, seed, steps): plain values, written to
            `run.json`; a resumed run must have the same.
        main: whether this process writes (rank 0); others only read.
    """

    def __init__(self, path: str | Path, resume: bool = False, facts: dict | None = None, main: bool = True):
        self.path = Path(path)
        self.resume, self.main = bool(resume), main
        self.facts = json.loads(json.dumps(facts or {}))
        self.config_text: str | None = None  # written to config.yaml on opening
        self._lock: IO | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    def check(self) -> None:
        """Refuse a folder that belongs to something else, before any long work.

        Raises:
            UserError: it holds another run, or files that are no run, or (resuming) nothing to resume.
        """
        known = self.path / "run.json"
        if self.path.exists() and not self.path.is_dir():
            raise UserError("E310", f"output {self.path} is a file", "Give a folder with --output")
        holds = self.path.is_dir() and any(self.path.iterdir())
        if self.resume and not known.is_file():
            raise UserError("E312", f"{self.path} holds no run to resume", "Drop --resume or correct --output")
        if not self.resume and holds:
            what = "another run" if known.is_file() else "other files"
            cure = "Add --resume to go on with it, or give another --output" if known.is_file() else "Give an empty one"
            raise UserError("E311", f"output folder {self.path} holds {what}", cure)
        if self.resume:
            self._compare(json.loads(known.read_text(encoding="utf-8")))

    def _compare(self, before: dict) -> None:
        now = self.facts
        for key in sorted((set(before) | set(now)) - CHANGEABLE):
            if before.get(key) != now.get(key):
                raise UserError(
                    "E313",
                    f"the run in {self.path} has {key} {before.get(key)!r}, this one {now.get(key)!r}",
                    "Resume with the same settings, or give another --output",
                )

    def open(self) -> None:
        """Lock the folder, log into it and note what the run is.

        Raises:
            UserError: as `check`, or another process is at work in it.
        """
        self.check()
        if not self.main:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")  # noqa: SIM115  (held until the process ends)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise UserError(
                "E314", f"another process is at work in {self.path}", "Wait for it or give another --output"
            ) from fault
        except OSError as fault:
            raise UserError("E315", f"cannot write to {self.path} ({fault.strerror})", "Give another --output") from fault
        write_text(self.path / "run.json", json.dumps(self.facts, indent=1) + "\n")
        if self.config_text is not None:
            write_text(self.path / "config.yaml", self.config_text)
        handler = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        LOGGER.info("%s: %s", "resumed" if self.resume else "started", " ".join(sys.argv))

    def close(self) -> None:
        """Let another process in."""
        if self._lock is None:
            return
        for handler in list(LOGGER.handlers):
            if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == self.path.resolve():
                LOGGER.removeHandler(handler)
                handler.close()
        self._lock.close()
        self._lock = None
