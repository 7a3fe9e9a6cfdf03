"""What the server keeps beside the studies, in `.mednoisy`: settings, rounds, orders, leases and kept versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.text_files import Unusable, read_json

FOLDER = ".mednoisy"
BOUND = "MEDNOISY_LABEL_HOST"  # in the environment of the server: where it listens
MINUTES, MEGABYTES, BATCH = 60, 2048, 10  # of a lease, of an upload, studies that a query ranks
KEPT_ROUNDS = 3  # enough to see how the figure rises


@dataclass(frozen=True)
class Settings:
    """How networks are trained and studies chosen; kept, so that a process that survives the server knows them.

    Attributes:
        bundle: name or folder.
        classes: names of its labels in order of their codes, background first.
        method, recipe, dataset, steps, seed: as of `mednoisy train`; None is the bundle's own.
        folds: of each training; None: as `plan_of` has it.
        strategy: that ranks studies after each training.
        batch: how many studies are ranked at once.
        pretext: that is learned from the studies before the first label; None for none.
        features_of: folder of a finished run that gives features before the first label.
        set: `ID=VALUE` of the configuration.
        device: such as `cpu`; None for the first GPU, or the CPU.
        lease_minutes: for how long a study that was given to a client goes to no other.
        upload_mb: largest upload.
        trust: whether configurations may be any program.
        keep_rounds: how many of the newest rounds stay, besides the one that serves and the one before it.
    """

    bundle: str
    classes: tuple[str, ...]
    method: str | None = None
    recipe: str | None = None
    dataset: str | None = None
    steps: int | None = None
    seed: int = 0
    folds: int | None = None
    strategy: str = "uncertain_and_different"
    batch: int = BATCH
    pretext: str | None = None
    features_of: str | None = None
    set: tuple[str, ...] = ()
    device: str | None = None
    lease_minutes: float = MINUTES
    upload_mb: int = MEGABYTES
    trust: bool = False
    threads: int | None = field(default=None)
    keep_rounds: int = KEPT_ROUNDS

    @property
    def name(self) -> str:
        """What viewers call the network."""
        return Path(self.bundle).name


@dataclass(frozen=True)
class Workplace:
    """The folder of studies, and where everything that belongs to it lies."""

    studies: Path

    @property
    def folder(self) -> Path:
        return self.studies / FOLDER

    @property
    def labels(self) -> Path:
        """Finished labels, in class codes, as MONAI Label keeps them."""
        return self.studies / "labels" / "final"

    def of_round(self, number: int) -> Path:
        """Folder of a training: `data/`, `run/`, `round.json`, `log.txt`, `expected.json`."""
        return self.folder / "rounds" / str(number)

    @property
    def pretext(self) -> Path:
        """Folder of the training of a pretext, laid out as a round's."""
        return self.folder / "pretext"

    def settings(self) -> Settings:
        """What the server was last started with.

        Raises:
            UserError: E580, the file is damaged or not there.
        """
        content = read_state(self.folder / "settings.json")
        try:
            tuples = {name: tuple(content.get(name, ())) for name in ("classes", "set")}
            return Settings(**{**content, **tuples})
        except TypeError as fault:
            raise _damaged(self.folder / "settings.json", fault) from fault

    def keep_settings(self, settings: Settings) -> None:
        """Write them."""
        write_state(self.folder / "settings.json", asdict(settings))


def read_state(path: Path, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The table that a file of the server holds; `default` where it is not there.

    Raises:
        UserError: E580, it is damaged, or not there and has no default.
    """
    if default is not None and not path.is_file():
        return dict(default)
    try:
        content = read_json(path)
    except Unusable as fault:
        raise _damaged(path, fault) from fault
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no table")
    return content


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a table, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def listed_numbers(folder: Path) -> Sequence[int]:
    """The numbers that entries of a folder are called by, in order."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())


def _damaged(path: Path, why: object) -> UserError:
    cure = "Restore it, or remove it and start mednoisy label again: labels lie elsewhere"
    return UserError("E580", f"{path} is damaged: {why}", cure)
