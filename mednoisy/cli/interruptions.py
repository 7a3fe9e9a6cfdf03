"""SIGTERM and SIGINT while a command is at work: it ends in one line, with exit code 1."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

SECONDS = 1.0  # after which a signal is raised again, if it was lost


class _Interrupted(KeyboardInterrupt):
    """A type of its own: where KeyboardInterrupt itself leaves code that `exec` runs, as dataclasses do while they are
    imported, Python notes so and in the end kills itself, whatever exit code it was given."""


class Interruptions:
    """While active, a signal raises KeyboardInterrupt; `received` is the first one's name (empty: none).

    What comes out of a block may be another exception: a module whose import was interrupted tells so in words of
    its own. Python loses an exception that is raised while a process forks or an object is taken down; then it is
    raised once more. A training takes the signals over while it runs (`engines.stop_signals`). A signal that this
    process was started to ignore stays ignored.

    Args:
        last: nothing comes after this block but the end of the process, which signals shall not disturb.
    """

    def __init__(self, *, last: bool = False):
        self.received, self.last = "", last
        self._before: dict[int, Any] = {}
        self._hook = sys.unraisablehook

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():  # signals belong to it alone
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._raise_if_lost)
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._raise)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._tell_unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.unraisablehook = self._hook
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.last else before)

    def _raise(self, number: int, frame: FrameType | None) -> NoReturn:
        self.received = self.received or signal.Signals(number).name
        signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
        raise _Interrupted

    def _raise_if_lost(self, number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is Interruptions.__exit__.__code__:
            return  # the block has ended, and nobody above it waits for an interruption
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):  # else it is on its way out
            raise _Interrupted

    def _tell_unraisable(self, fault: sys.UnraisableHookArgs) -> None:
        if not isinstance(fault.exc_value, KeyboardInterrupt):
            self._hook(fault)
