"""Files of weights that others saved."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

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
    cure = "Give a file of weights saved by torch.save; pickled objects are refused"
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as fault:
        raise UserError("E340", f"checkpoint {file} does not exist", "Give the path of a .pth file") from fault
    except UNREADABLE as fault:
        reason = next(iter(str(fault).splitlines()), "empty or truncated")
        raise UserError("E340", f"checkpoint {file} cannot be read ({reason})", cure) from fault
    for wrapper in ("net", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        cause = f"checkpoint {file} holds no state dict, neither bare nor under 'net' or 'state_dict'"
        raise UserError("E341", cause, wanted)
    return content
