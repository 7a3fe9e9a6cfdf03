"""A command in a fork of this process, which may have loaded everything already but must have computed nothing."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mednoisy
from mednoisy.cli import main

LOOK = 0.002  # seconds between looks at the fork
ELSEWHERE = ("mednoisy.__main__", "mednoisy.monai_label", "mednoisy.bundles")  # not what the commands tried here load
LATE = ("torch._dynamo", "matplotlib.contour", "PIL.BmpImagePlugin")  # what others load when it is first used


def load_everything() -> None:
    """Import what commands do, so that their forks need not: most of the time of one that trains for two steps."""
    for module in pkgutil.walk_packages(mednoisy.__path__, "mednoisy."):
        if not module.name.startswith(ELSEWHERE):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code, negative the signal that ended it, None where patience did.
        output: all that it printed.
        seconds: that it took by the clock.
        computed: seconds of a processor's time that it and its children took.
    """

    code: int | None
    output: str
    seconds: float
    computed: float

    @property
    def lines(self) -> list[str]:
        """What it said as itself."""
        return [line for line in self.output.splitlines() if line.startswith("mednoisy: ")]


def run_forked(
    arguments: Sequence[str],
    log: Path,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
    patience: float = 600.0,
) -> Ended:
    """Run `mednoisy` with arguments; what it prints goes to `log`.

    Args:
        before, after: called in the fork.
        patience: seconds after which it is killed.
    """
    sys.stdout.flush()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1), os.dup2(descriptor, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        try:
            before()
            code = main(list(arguments))
            logging.shutdown()
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush(), sys.stderr.flush()
            after()
            os._exit(code)
    killed = False
    while True:
        process, status, usage = os.wait4(child, os.WNOHANG)
        if process:
            break
        if not killed and time.monotonic() - started > patience:
            os.kill(child, signal.SIGKILL)
            killed = True
        time.sleep(LOOK)
    code = None if killed else os.waitstatus_to_exitcode(status)
    output = log.read_text(errors="replace") if log.exists() else ""
    return Ended(code, output, time.monotonic() - started, usage.ru_utime + usage.ru_stime)
