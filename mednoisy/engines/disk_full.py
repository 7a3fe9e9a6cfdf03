"""What a run does when its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mednoisy.errors import UserError
from mednoisy.files import full_disk

CURE = "Free some space, then go on with --resume; the last checkpoint is whole"


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Around the writing of a run's file: a full disk ends the run in one line, and it can go on later.

    Raises:
        UserError: E320, exit code 1: no space is left, or the folder cannot be written.
    """
    try:
        yield
    except UserError as fault:
        if fault.code != "E320" or not isinstance(fault.__cause__, OSError):
            raise
        raise full_disk(path, fault.__cause__.strerror, CURE) from fault.__cause__
    except (OSError, RuntimeError) as fault:  # torch's zip writer turns a full disk into a RuntimeError
        reason = getattr(fault, "strerror", None) or " ".join(str(fault).split("\n")[:1]) or type(fault).__name__
        raise full_disk(path, reason, CURE) from fault
