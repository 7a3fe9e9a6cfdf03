"""Writes that fail on demand, in the process that asks for it; for campaigns and tests."""

from __future__ import annotations

import builtins
import errno
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

MESSAGES = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}

TORCH = "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nmore"  # how it tells a full disk


@dataclass
class FailingWrites:
    """Counts what a process does to files below a folder, and lets one of it fail.

    Counted are: opening to write, each write that reaches the system (flushes are such), making a temporary file or
    a folder, fsync, rename, and `torch.save`, whose writer is not Python's.

    Args:
        folder: files elsewhere are left alone.
        number: which fails, from 1; 0 for none.
        code: as which errno; fsync fails with EIO in any case.
        stays: all later ones that need room fail, too, as on a disk that is full.
    """

    folder: Path
    number: int = 0
    code: int = errno.ENOSPC
    stays: bool = False
    seen: list[str] = field(default_factory=list)

    def tick(self, kind: str, path: Any) -> None:
        """Note an operation on a path; raises if it is its turn."""
        if not isinstance(path, (str, os.PathLike)) or not Path(path).is_relative_to(self.folder):
            return
        self.seen.append(f"{kind} {Path(path).name}")
        if self.number and (len(self.seen) == self.number or (self.stays and len(self.seen) > self.number)):
            code = errno.EIO if kind == "fsync" else self.code
            raise OSError(code, MESSAGES[code], str(path))

    def install(self) -> None:
        """From now on, and to the end of the process."""
        opened = self._open(builtins.open)
        builtins.open = io.open = opened  # type: ignore[assignment]
        os.replace = self._before(os.replace, "rename")  # type: ignore[assignment]
        os.mkdir = self._before(os.mkdir, "mkdir")  # type: ignore[assignment]
        tempfile.mkstemp = self._mkstemp(tempfile.mkstemp)  # type: ignore[assignment]
        os.fsync = self._fsync(os.fsync)  # type: ignore[assignment]
        torch.save = self._save(torch.save)

    def _before(self, original: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def called(path: Any, *rest: Any, **options: Any) -> Any:
            if kind != "mkdir" or not os.path.exists(path):  # else no room is needed
                self.tick(kind, path)
            return original(path, *rest, **options)

        return called

    def _mkstemp(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*rest: Any, **options: Any) -> Any:
            self.tick("mkstemp", options.get("dir"))
            return original(*rest, **options)

        return called

    def _fsync(self, original: Callable[[int], None]) -> Callable[[int], None]:
        def called(descriptor: int) -> None:
            self.tick("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
            original(descriptor)

        return called

    def _save(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(content: Any, path: Any, *rest: Any, **options: Any) -> Any:
            try:
                self.tick("torch.save", path)
            except OSError as fault:
                raise RuntimeError(TORCH) from fault
            return original(content, path, *rest, **options)

        return called

    def _open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        writes = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                writes.tick("write", self.name)
                return super().write(data)

        def opened(
            file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
            newline: Any = None, closefd: bool = True, opener: Any = None,
        ) -> Any:  # fmt: skip
            inside = isinstance(file, (str, os.PathLike)) and Path(file).absolute().is_relative_to(self.folder)
            if not inside or not set(mode) & set("wax+"):
                return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
            file = str(Path(file).absolute())
            self.tick("open", file)
            raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            stream = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            if "b" in mode:
                return stream
            text = io.TextIOWrapper(stream, encoding, errors, newline, line_buffering=buffering == 1)
            text.mode = mode  # type: ignore[misc]
            return text

        return opened
