"""Checkpoints that are whole, or not there; loaded without running anyone's code."""

from __future__ import annotations

import errno
import os
import pickle
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from mednoisy.engines.disk_full import writing
from mednoisy.errors import UserError
from mednoisy.files import written_aside
from mednoisy.notices import tell

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best_"
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)  # of file systems without them
UNREADABLE = (  # the last ones of a stream whose damage makes other sense
    *(RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, OSError, NotImplementedError, ValueError),
    *(zlib.error, KeyError, IndexError, TypeError, AttributeError),
)


def save(path: Path, content: dict) -> None:
    """Write tensors and plain Python types beside `path`, flush them to disk, and rename.

    Raises:
        UserError: E320, see `writing`; the file before it stays.
    """
    with writing(path), written_aside(path) as aside:
        torch.save(content, aside)


def save_last(folder: Path, content: dict) -> None:
    """Write `last.pt` of a folder and keep the one before as `previous.pt`, for the case that a disk damages it.

    Raises:
        UserError: E320, see `writing`; one of the two is there, whole.
    """
    last, before = folder / LAST, folder / PREVIOUS
    with writing(last), written_aside(last) as aside:
        torch.save(content, aside)
        if last.is_file():
            _give_name(last, before)


def _give_name(last: Path, before: Path) -> None:
    """A second name for a file, so that it has the first one until another file takes that over."""
    if before.is_file() and before.samefile(last):  # after a save that failed; renaming would do nothing
        return
    with written_aside(before) as aside:
        aside.unlink()
        try:
            os.link(last, aside)
        except OSError as fault:
            if fault.errno not in NO_LINKS:
                raise
            os.rename(last, aside)


def load(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint with `weights_only`, its checksums tested.

    Raises:
        UserError: E321, it is missing; E322, it cannot be read or is damaged.
    """
    if not path.is_file():
        cure = "Give the folder of a run that has trained"
        if path.name == LAST and path.parent.with_name("run.json").is_file():
            cure = f"Train it, or go on from the one before: mednoisy train --resume {path.parent.parent}"
        raise UserError("E321", f"checkpoint {path} is missing", cure)
    try:
        with ZipFile(path) as records:
            damaged = records.testzip()
        if damaged is not None:
            raise BadZipFile(f"damaged: the checksum of {damaged} does not fit")
        return torch.load(path, map_location=device, weights_only=True)
    except UNREADABLE as fault:
        cure = "Use another checkpoint or train again"
        if path.name == LAST and path.with_name(PREVIOUS).is_file():
            cure = f"Go on from the one before it: mednoisy train --resume {path.parent.parent}"
        elif path.name.startswith(BEST):
            cure = "Remove it, then the last checkpoint takes its place, or train again"
        raise UserError("E322", f"checkpoint {path} cannot be read ({_reason(fault)})", cure) from fault


def load_last(folder: Path, device: torch.device | str = "cpu") -> dict | None:
    """The last checkpoint of a folder, or the one before it where that is damaged or missing; None without either.

    Raises:
        UserError: E322, neither can be read.
    """
    last, before = folder / LAST, folder / PREVIOUS
    if not before.is_file():
        return load(last, device) if last.is_file() else None
    try:
        return load(last, device)
    except UserError as fault:
        content = load(before, device)
        tell(f"{fault.code} {fault.cause}: going on from {before.name}, step {content['step']}")
        return content


def _reason(fault: BaseException) -> str:
    """In a few words: the libraries' own texts are pages long."""
    return str(fault) if isinstance(fault, BadZipFile) and str(fault) else type(fault).__name__


def restore(method: nn.Module, content: dict) -> None:
    """Put the weights of a checkpoint into the method of a run's last stage.

    Raises:
        UserError: E318, they are of an earlier stage, or of other networks.
    """
    try:
        method.load_state_dict(content["method"])
    except RuntimeError as fault:
        raise UserError(
            "E318",
            f"the checkpoint of step {content['step']} (stage {content['stage']!r}) does not fit the run's last stage",
            "Finish the run first (--resume)",
        ) from fault
