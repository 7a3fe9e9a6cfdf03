"""Files that are either whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mednoisy.errors import DONE_IN_PART, REFUSED, UserError

LOGGER = logging.getLogger("mednoisy")
ASIDE = ".partial-"  # how the names of files that are being written begin
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk is at fault for
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # of a file system that has none


def full_disk(path: Path | str, reason: str | None, cure: str | None = None) -> UserError:
    """How a command ends whose output has no room, or whose disk fails: exit code 1, to be called again."""
    cure = cure or "Free some space, then call again (a run with --resume); no file is half-written"
    return UserError("E320", f"cannot write {path}: {reason}", cure, exit_code=DONE_IN_PART)


@contextmanager
def telling_full_disk(path: Path | str) -> Iterator[None]:
    """Around writing: a disk that is full or fails is told as E320, all else is raised as it is."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in FULL:
            raise
        raise full_disk(path, fault.strerror) from fault


@contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """A temporary path in the folder of `path`; it takes the place of `path` when the block ends well.

    The temporary name ends like `path` (`.nii.gz` included), for writers that choose a format by it.
    If the block raises, `path` is left as it was and the temporary file is removed.

    Raises:
        UserError: E320, the disk is full or fails.
        OSError: the folder cannot be written for another reason.
    """
    path = Path(path)
    with telling_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=ASIDE, suffix="".join(path.suffixes[-2:]), dir=path.parent)
        aside = Path(name)
        try:
            _try_lock(handle)  # so that nobody sweeps it
            yield aside
            with open(aside, "rb") as stream:
                os.fsync(stream.fileno())
            aside.chmod(0o666 & ~_umask())
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)


@contextmanager
def folder_written_aside(path: Path | str) -> Iterator[Path]:
    """A new temporary folder beside `path`, which is absent; it becomes `path` when the block ends well.

    If the block raises, nothing is left. What a killed process left there is swept, see `sweep`.

    Raises:
        UserError: E320, the disk is full or fails.
        OSError: the folder above cannot be written, or `path` has come into being meanwhile.
    """
    path = Path(path)
    with telling_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=path.parent))
        handle = os.open(aside, os.O_RDONLY)
        try:
            _try_lock(handle)  # so that nobody sweeps it
            sweep(path.parent)
            yield aside
            aside.chmod(0o777 & ~_umask())
            os.rename(aside, path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        finally:
            os.close(handle)


@contextmanager
def locked(folder: Path | str, *below: str) -> Iterator[IO]:
    """The folder, made if need be, for this process alone; the lock is let go when the block or the process ends.

    What a killed process left half-written in it is swept; a new folder in which nothing was done is taken away.
    Where the file system has no locks, a line says so, and nothing keeps a second process out.

    Args:
        below: folders in it that are swept, too; `**` for all.

    Raises:
        UserError: E314, another process has it; E320, the disk is full or fails.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    with telling_full_disk(folder):
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")  # noqa: SIM115, closed below
    with lock, _nothing_left(folder, new=new):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            cause = f"another process is at work in {folder}"
            raise UserError("E314", cause, "Wait for it or give another --output") from fault
        except OSError as fault:
            if fault.errno not in NO_LOCKS:
                raise
            remark = "the file system of %s has no locks (%s): let no other command write there meanwhile"
            LOGGER.warning(remark, folder, fault.strerror)
        sweep(folder, *below)
        yield lock


@contextmanager
def _nothing_left(folder: Path, *, new: bool) -> Iterator[None]:
    """Around work in a folder: if it is refused, a new folder that holds nothing but the lock goes."""
    try:
        yield
    except UserError as fault:
        if new and fault.exit_code == REFUSED and [entry.name for entry in folder.iterdir()] == [".lock"]:
            (folder / ".lock").unlink()
            folder.rmdir()
        raise


def sweep(folder: Path, *below: str) -> None:
    """Take away what killed processes left half-written in a folder, and in folders below it (`**` for all).

    What a living process is writing stays, and so does everything where the file system has no locks.
    """
    for left in {left for pattern in ("", *below) for left in folder.glob(f"{pattern}/{ASIDE}*".lstrip("/"))}:
        handle = os.open(left, os.O_RDONLY)
        try:
            if _try_lock(handle):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _try_lock(handle: int) -> bool:
    """Whether an open file could be locked for this process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
