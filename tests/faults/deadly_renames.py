"""Renames at which a process ends, in the process that asks for it; for campaigns and tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Renames:
    """Counts renames and links below a folder, and ends the process at one of them.

    Args:
        number: at which, from 1; 0 for none.
        after: once it is done, instead of before.
    """

    folder: Path
    number: int = 0
    after: bool = False
    count: int = field(default=0, init=False)

    def install(self) -> None:
        """From now on, and to the end of the process."""
        for name in ("replace", "rename", "link"):
            setattr(os, name, self._deadly(getattr(os, name)))

    def _deadly(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, target: Any, **options: Any) -> None:
            inside = Path(target).is_relative_to(self.folder)
            self.count += inside
            dies = inside and self.count == self.number
            if dies and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            original(path, target, **options)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)

        return called

    def note(self, path: Path) -> Callable[[], None]:
        """Writes the count to a file."""
        return lambda: path.with_suffix(".count").write_text(str(self.count))
