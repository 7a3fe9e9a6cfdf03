"""Files of weights that others saved."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mednoisy.errors import UserError

# The last two for files of the old, unzipped format that end too early.
UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, IndexError, struct.error)


def read_state_dict(file: Path, wanted: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, bare or under `net` or `state_dict`; what lies beside is left alone.

    Args:
        file: saved by torch.save; read with `weights_only`.
        wanted: what to do where it holds none, for the message.

    Raises:
        UserError: E340 the file is missing, truncated or unreadable, E341 it holds no state dict.
    """
    content = _read(file)
    for wrapper in ("net", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        cause = f"checkpoint {file} holds no state dict, neither bare nor under 'net' or 'state_dict'"
        raise UserError("E341", cause, wanted)
    return content


def read_encoders(file: Path) -> dict[str, dict[str, Tensor]]:
    """The encoders in a file of this package: what stands before `encoder.` in names, to weights from there on.

    Any file will do that holds networks: `models/model.pt`, a checkpoint, `checkpoints/pretext_NAME.pt`.

    Returns:
        None of a file whose names have no `encoder`.

    Raises:
        UserError: E340, as `read_state_dict`.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in _tensors("", _read(file)):
        before, part, after = f".{name}".partition(".encoder.")
        if part:
            found.setdefault(before[1:], {})[f"encoder.{after}"] = value
    return found


def _tensors(prefix: str, content: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors in tables within tables, under names joined by dots."""
    if isinstance(content, Tensor):
        yield prefix, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _tensors(f"{prefix}.{key}" if prefix else str(key), value)


def _read(file: Path) -> Any:
    """What torch.save put into a file, pickled objects refused (E340)."""
    cure = "Give a file of weights saved by torch.save; pickled objects are refused"
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as fault:
        raise UserError("E340", f"checkpoint {file} does not exist", "Give the path of a .pth file") from fault
    except UNREADABLE as fault:
        reason = next(iter(str(fault).splitlines()), "empty or truncated")
        raise UserError("E340", f"checkpoint {file} cannot be read ({reason})", cure) from fault
