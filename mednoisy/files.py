"""Files that are either whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
