"""Checkpoints that are whole, or not there; loaded without running anyone's code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import torch

from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.files import written_aside


def save(path: Path, content: dict) -> None:
    """Write tensors and plain Python types beside `path`, flush them to disk, and rename.

    Raises:
        UserError: E320, see `writing`; the file before it stays.
    """
    with writing(path), written_aside(path) as aside:
        torch.save(content, aside)


def load(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint with `weights_only`.

    Raises:
        UserError: E321, it is missing; E322, it cannot be read.
    """
    if not path.is_file():
        raise UserError("E321", f"checkpoint {path} is missing", "Give the folder of a run that has trained")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, OSError) as fault:
        raise UserError(
            "E322",
            f"checkpoint {path} cannot be read ({type(fault).__name__})",
            "Use another checkpoint or train again",
        ) from fault


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Around the writing of a run's file: a full disk ends the run in one line, and it can go on later.

    Raises:
        UserError: E320, exit code 1: no space is left, or the folder cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as fault:  # torch's zip writer turns a full disk into a RuntimeError
        told = getattr(fault, "strerror", None) or " ".join(str(fault).split("\n")[:1]) or type(fault).__name__
        raise UserError(
            "E320",
            f"cannot write {path}: {told}",
            "Free some space, then go on with --resume; the last checkpoint is whole",
            exit_code=DONE_IN_PART,
        ) from fault
