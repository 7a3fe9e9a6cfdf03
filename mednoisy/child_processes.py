"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
PARENT = "MEDNOISY_PARENT"  # the environment's entry by which a command is told whose child it is
SECONDS_BETWEEN_LOOKS = 0.5
STOPS = {signal.SIGINT, signal.SIGTERM}


def end_with_parent(parent: int) -> None:
    """From now on, this process is killed when its parent is gone; at once, where it is gone already.

    Nothing is saved: what a command writes is whole or absent, and a training goes on from its last checkpoint.
    The kernel sees to it on Linux, a thread that looks at the parent elsewhere.

    Args:
        parent: the process whose child this is, which must have started it from a thread that lasts.
    """
    if not (sys.platform == "linux" and _killed_by_kernel()):
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def end_with_caller() -> None:
    """As `end_with_parent`, if the environment names a parent; it is not handed on."""
    if (parent := os.environ.pop(PARENT, "")).isdecimal():
        end_with_parent(int(parent))


def start_worker(parent: int) -> None:
    """What a worker process begins with: it ends with its parent, dies of SIGTERM and ignores Ctrl-C.

    Ctrl-C goes to the parent, which tells the user in one line and ends its workers. To be started `undisturbed`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    end_with_parent(parent)


def finish(command: Sequence[str], threads: int | None = None) -> tuple[int, bool]:
    """Run a command to its end: its exit code, and whether this process was told to stop meanwhile.

    The signal is passed on, and the command is given the time to save. A killed process takes its command with it.

    Args:
        threads: CPU threads of the command, where `OMP_NUM_THREADS` is not set; None leaves it to PyTorch.
    """
    environment = {**os.environ, PARENT: str(os.getpid())}
    if threads is not None:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    received: list[int] = []
    children: list[subprocess.Popen] = []

    def pass_on(number: int, frame: object) -> None:
        received.append(number)
        for child in children:
            child.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        children.append(child)
        if received:  # between the two lines above
            child.terminate()
        return child.wait(), bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Around the start of a worker: signals wait, or a half-started one would tell of its broken pipe.

    They are blocked, which the worker inherits; and their handlers wait, since the system hands to another thread what
    this one blocks, and Python then runs the handler in the main thread all the same.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    received: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        heeded = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
        handlers = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in heeded}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for late in received:
            signal.raise_signal(late)


def _killed_by_kernel() -> bool:
    return ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)
