"""What a run does when its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mednoisy.errors import DONE_IN_PART, UserError


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Around the writing of a run's file: a full disk ends the run in one line, and it can go on later.

    Raises:
        UserError: E320, exit code 1: no space is left, or the folder cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as fault:  # torch's zip writer turns a full disk into a RuntimeError
        reason = getattr(fault, "strerror", None) or " ".join(str(fault).split("\n")[:1]) or type(fault).__name__
        raise UserError(
            "E320",
            f"cannot write {path}: {reason}",
            "Free some space, then go on with --resume; the last checkpoint is whole",
            exit_code=DONE_IN_PART,
        ) from fault
