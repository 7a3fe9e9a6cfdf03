"""Files that are either whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mednoisy.errors import UserError

ASIDE = ".partial-"  # how the names of files that are being written begin


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """A temporary path in the folder of `path`; it takes the place of `path` when the block ends well.

    The temporary name ends like `path` (`.nii.gz` included), for writers that choose a format by it.
    If the block raises, `path` is left as it was and the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=ASIDE, suffix="".join(path.suffixes[-2:]), dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        with open(aside, "rb") as stream:
            os.fsync(stream.fileno())
        aside.chmod(0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def locked(folder: Path | str) -> Iterator[IO]:
    """The folder, made if need be, for this process alone; the lock is let go when the block or the process ends.

    Raises:
        UserError: E314, another process has it.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            cause = f"another process is at work in {folder}"
            raise UserError("E314", cause, "Wait for it or give another --output") from fault
        yield lock


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
