"""Which study is with which client, for so many minutes: no study is with two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mednoisy.monai_label.workplace import Workplace, read_state, write_state

SECONDS = 60  # of a minute


@dataclass
class Leases:
    """Studies that clients have been given; kept in a file, so that a restart gives none away twice.

    Args:
        place: the folder of studies.
        minutes: that a lease lasts; it ends sooner when the study's label is saved.
        now: the time in seconds, of all processes.
    """

    place: Workplace
    minutes: float
    now: Callable[[], float] = time.time
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def away(self) -> dict[str, str]:
        """Client by study, of the leases that have not run out."""
        leases = read_state(self._file, {})
        return {study: lease["client"] for study, lease in leases.items() if lease["until"] > self.now()}

    def of(self, client: str, candidates: Sequence[str]) -> str | None:
        """The first of the candidates that a client has already; None where it has none."""
        away = self.away()
        return next((study for study in candidates if away.get(study) == client), None)

    def take_first(self, client: str, candidates: Sequence[str]) -> str | None:
        """Give a client the first of the candidates that nobody has; None where there is none."""
        with self._one_at_a_time:
            away = self.away()
            study = next((study for study in candidates if study not in away), None)
            if study is not None:
                self._write({**self._running(), study: {"client": client, "until": self._end()}})
            return study

    def renew(self, client: str, study: str) -> None:
        """Let a client's lease of a study run from now on."""
        with self._one_at_a_time:
            self._write({**self._running(), study: {"client": client, "until": self._end()}})

    def end(self, study: str) -> None:
        """Take a study back, whoever has it: its label is saved."""
        with self._one_at_a_time:
            running = self._running()
            if running.pop(study, None) is not None:
                self._write(running)

    def _running(self) -> dict:
        leases = read_state(self._file, {})
        return {study: lease for study, lease in leases.items() if lease["until"] > self.now()}

    def _end(self) -> float:
        return self.now() + SECONDS * self.minutes

    def _write(self, leases: dict) -> None:
        write_state(self._file, leases)

    @property
    def _file(self) -> Path:
        return self.place.folder / "leases.json"
