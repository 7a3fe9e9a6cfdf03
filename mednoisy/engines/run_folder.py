"""The folder of a run: one process at a time, one run a folder, every file whole."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mednoisy.engines.disk_full import writing
from mednoisy.errors import UserError
from mednoisy.files import FULL, full_disk, locked, write_text
from mednoisy.text_files import Unusable, read_json, read_yaml

LOGGER = logging.getLogger("mednoisy")
STARTED_FROM = "started_from.pt"  # students of another run's pretext, that the networks started from
LOGGED = (LOGGER, logging.getLogger("ignite"))  # ignite tells the traceback of what stops its engines
WRITTEN = (
    ".lock",
    "run.json",
    "config.yaml",
    "log.txt",
    "labels.json",
    "training_data.json",
    "progress.csv",
    "tensorboard",
    "rounds",
    STARTED_FROM,
)  # before checkpoints
# Entries of the configuration that say where and how fast a run is, not what it is.
CHANGEABLE = {"bundle_root", "dataset_dir", "output_dir", "model_file", "resume", "device", "workers", "distributed"}
CHANGEABLE |= {"initialize", "run", "evaluate", "finalize", "evaluation", "report", "_meta_"}


class RunFolder:
    """`run.json`, `config.yaml`, `log.txt`, `progress.csv`, `checkpoints/`, `predictions/` and reports of one run.

    Args:
        path: the folder; made when the run starts.
        resume: go on with the run in it. Without, a folder that holds anything is refused.
        facts: what the run is (dataset, method, recipe, labeled, seed, steps): plain values, written to
            `run.json` but for those that are null; a resumed run must have the same.
        main: whether this process checks and writes (rank 0); others only read.
    """

    def __init__(self, path: str | Path, resume: bool = False, facts: dict | None = None, main: bool = True):
        self.path = Path(path)
        self.resume, self.main = bool(resume), main
        self.facts = json.loads(json.dumps({key: value for key, value in (facts or {}).items() if value is not None}))
        self.config_text: str | None = None  # written to config.yaml on opening
        self.on_open: list[Callable[[], None]] = []  # what else is written then
        self._lock: ExitStack | None = None
        self._log: logging.FileHandler | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    def check(self) -> None:
        """Refuse a folder that belongs to something else, before any long work.

        Raises:
            UserError: E310 to E313: it holds another run, or files that are no run, or (resuming) nothing to resume or
                a run with other settings; E319, what it was is damaged.
        """
        if not self.main:  # the main process has perhaps begun to write
            return
        known = self.path / "run.json"
        if self.path.exists() and not self.path.is_dir():
            raise UserError("E310", f"output {self.path} is a file", "Give a folder with --output")
        if self.resume and not known.is_file():
            raise UserError("E312", f"{self.path} holds no run to resume", "Drop --resume or correct --output")
        if self.resume:
            self._compare(_read(known), self.facts)
            kept = self.path / "config.yaml"
            if self.config_text is not None and kept.is_file():
                import yaml  # which takes a while, and help needs this module

                self._compare(_entries(_read(kept)), _entries(yaml.safe_load(self.config_text)))
        elif known.is_file():
            cure = "Add --resume to go on with it, or give another --output"
            raise UserError("E311", f"output folder {self.path} holds another run", cure)
        elif self.path.is_dir() and any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise UserError("E311", f"output folder {self.path} holds other files", "Give an empty one with --output")

    def _compare(self, before: dict, now: dict) -> None:
        for key in sorted(set(before) | set(now)):
            if before.get(key) != now.get(key):
                raise UserError(
                    "E313",
                    f"the run in {self.path} has {key} {before.get(key)!r}, this one {now.get(key)!r}",
                    "Resume with the same settings, or give another --output",
                )

    def open(self) -> None:
        """Lock the folder, log into it and note what the run is; nothing where that is done already.

        Raises:
            UserError: as `check`; E314, another process is at work in it; E315, it cannot be written.
        """
        if self._lock is not None:
            return
        self.check()
        if not self.main:
            return
        try:
            self._take_lock()
            if not self.resume:
                self.check()  # another process may have come and gone between the first look and the lock
            write_text(self.path / "run.json", json.dumps(self.facts, indent=1) + "\n")
            if self.config_text is not None:
                write_text(self.path / "config.yaml", self.config_text)
            for write in self.on_open:
                write()
            self._log = _LogFile(self.path / "log.txt", encoding="utf-8")
        except UserError as fault:
            if fault.code == "E320" and not self.resume and self._lock is not None:
                self.discard()
            raise
        except OSError as fault:
            if not self.resume and self._lock is not None:
                self.discard()
            if fault.errno in FULL:
                raise full_disk(self.path, fault.strerror) from fault
            raise UserError(
                "E315", f"cannot write to {self.path} ({fault.strerror})", "Give another --output"
            ) from fault
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        for logger in LOGGED:
            logger.addHandler(self._log)
        LOGGER.setLevel(logging.INFO)
        LOGGER.info("%s: %s", "resumed" if self.resume else "started", " ".join(sys.argv))

    def _take_lock(self) -> None:
        lock = ExitStack()
        lock.enter_context(locked(self.path, "**"))
        self._lock = lock

    def discard(self) -> bool:
        """Take away what `open` and the first steps wrote, when a new run is refused; whether that was so.

        Never a resumed run, nor one that has saved a checkpoint.
        """
        if self._lock is None or self.resume or self.checkpoints.exists():
            return False
        for name in WRITTEN:  # before the lock is let go, or these could be another process's
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        empty = not any(self.path.iterdir())
        self.close()
        if empty:
            self.path.rmdir()
        return True

    def close(self) -> None:
        """End the log and let another process in.

        Raises:
            UserError: E320, the end of the log cannot be written; the lock is let go all the same.
        """
        log, lock, self._log, self._lock = self._log, self._lock, None, None
        with lock or ExitStack():
            if log is not None:
                for logger in LOGGED:
                    logger.removeHandler(log)
                with writing(log.baseFilename):
                    log.close()


def folds_of(folder: Path | str) -> list[Path]:
    """The run folders of the folds of a cross-validated run, in order; none of any other run, or where there is none.

    Raises:
        UserError: E319, what the run was is damaged.
    """
    known = Path(folder) / "run.json"
    folds = _read(known).get("folds") if known.is_file() else None
    return [fold_folder(folder, number) for number in range(folds)] if isinstance(folds, int) else []


def fold_folder(folder: Path | str, number: int) -> Path:
    """Where a cross-validated run keeps the run of one fold."""
    return Path(folder) / "folds" / str(number)


def _read(path: Path) -> dict:
    """The table of a JSON or YAML file that a run has kept (else E319)."""
    try:
        content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except Unusable as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or give another --output") from fault
    if not isinstance(content, dict):
        raise UserError("E319", f"{path} is damaged: it holds no table", "Restore it, or give another --output")
    return content


def _entries(config: dict) -> dict:
    """The entries of a merged configuration that make a run what it is: not where and how it runs."""
    return {key: value for key, value in config.items() if key not in CHANGEABLE}


class _LogFile(logging.FileHandler):
    """A log that stops the run when the disk is full, instead of a traceback on stderr per line."""

    def handleError(self, record: logging.LogRecord) -> None:
        with writing(self.baseFilename):
            raise sys.exc_info()[1] or OSError("the log cannot be written")
