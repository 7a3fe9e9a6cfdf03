"""A signal ends a block, also where Python loses the exception that it raises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mednoisy.cli.interruptions import Interruptions

ROOT = Path(__file__).parents[2]


class Deaf:
    """While it is taken down, exceptions are lost."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_and_is_named(number):
    before = signal.getsignal(number)
    signals = Interruptions()

    def told() -> None:
        with signals:
            os.kill(os.getpid(), number)
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        told()
    assert signals.received == number.name
    assert signal.getsignal(number) is before


def test_a_signal_that_was_lost_is_raised_again(capsys):
    signals = Interruptions()

    def told() -> None:
        with signals:
            Deaf()
            assert signals.received == "SIGTERM"
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        told()
    assert capsys.readouterr().err == ""


def test_an_alarm_as_the_block_ends_raises_nothing():
    """By then nothing is left to be interrupted; Python runs handlers at the first instruction of `__exit__`, too."""
    signals = Interruptions()
    reached = []

    def trace(frame, event, argument):
        if frame.f_code is Interruptions.__exit__.__code__ and event == "call":
            reached.append(event)
            signals._raise_if_lost(signal.SIGALRM, frame)

    before = sys.gettrace()
    try:
        with signals:
            sys.settrace(trace)
    finally:
        sys.settrace(before)
    assert reached == ["call"]
    with pytest.raises(KeyboardInterrupt):
        signals._raise_if_lost(signal.SIGALRM, sys._getframe())


def test_what_is_cleared_away_is_not_disturbed():
    cleared = []

    def told() -> None:
        with Interruptions():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            finally:
                time.sleep(2.5)
                cleared.append(True)

    with pytest.raises(KeyboardInterrupt):
        told()
    assert cleared == [True]


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruptions() as signals:
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == ""
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_exit_code_stands_where_compiled_text_was_interrupted(tmp_path):
    (tmp_path / "stopped.py").write_text(
        "from mednoisy.cli.interruptions import Interruptions\n"
        "try:\n"
        "    with Interruptions():\n"
        "        exec('import os, signal; os.kill(os.getpid(), signal.SIGTERM)')\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(1)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "stopped"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (1, "")
