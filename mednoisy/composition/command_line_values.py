"""Values that a command line gives to single entries of a configuration."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from mednoisy.errors import UserError


def checked_path(path: str | Path, option: str) -> str:
    """An absolute path as a config can hold it.

    Raises:
        UserError: E104, it has a `#`, which MONAI's configs take for a separator.
    """
    absolute = str(Path(path).expanduser().resolve())
    if "#" in absolute:
        raise UserError("E104", f"{option} {absolute!r} has a '#', which MONAI's configs cannot hold", "Rename it")
    return absolute


def checked_device(name: str) -> str:
    """The config expression of a device that is there.

    Raises:
        UserError: E105, PyTorch does not know it or does not find it on this machine.
    """
    import torch

    try:
        torch.empty(1, device=torch.device(name)).item()
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        raise UserError(
            "E105", f"device {name!r} cannot be used: {str(fault).splitlines()[0]}", "Use cpu, cuda or cuda:1"
        ) from fault
    return f'$torch.device("{name}")'


def parse_setting(text: str) -> tuple[str, Any]:
    """`id=value` as key and value; the value is a Python literal where it can be read as one.

    Raises:
        UserError: E102, there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError("E102", f"--set {text!r} is no id=value", "Write for example --set batch_size=2")
    if is_literal(value):
        return key, ast.literal_eval(value)
    return key, {"true": True, "false": False, "null": None}.get(value, value)


def is_literal(text: str) -> bool:
    """Whether Python reads a text as a number, a list or another literal."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True
