"""Checkpoints that are whole, or not there; loaded without running anyone's code."""

from __future__ import annotations

import pickle
from pathlib import Path
from zipfile import BadZipFile

import torch
from torch import nn

from mednoisy.engines.disk_full import writing
from mednoisy.errors import UserError
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
