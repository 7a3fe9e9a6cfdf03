"""A round of training in a process of its own: train or go on, compare, let it serve, and have the studies ranked."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mednoisy.child_processes import finish
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.files import locked
from mednoisy.monai_label.deployment import consider, figure_of
from mednoisy.monai_label.plans import PRETEXT, words_of
from mednoisy.monai_label.pruning import prune
from mednoisy.monai_label.training import ENDED, launched
from mednoisy.monai_label.workplace import Workplace, read_state, write_state

SECONDS_FOR_LOCK, BETWEEN = 60, 0.2  # a round before this one may be leaving; who looks at the lock has it, too
FAULT = re.compile(r"^mednoisy: (E\d{3} .*)$", re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """`STUDIES NUMBER`; the exit code of `mednoisy train`."""
    place, number = Workplace(Path(arguments[0])), arguments[1]
    end = time.monotonic() + SECONDS_FOR_LOCK
    while True:
        try:
            with locked(place.folder / "training"):
                return run_round(place, number)
        except UserError as fault:
            if fault.code != "E314" or time.monotonic() > end:
                raise
            time.sleep(BETWEEN)


def run_round(place: Workplace, number: str) -> int:
    """Do what is missing of a round; its state is kept in `round.json`."""
    folder = place.pretext if number == PRETEXT else place.of_round(int(number))
    state = read_state(folder / "round.json")
    if state["state"] in ENDED:
        return 0
    settings = place.settings()

    def note(**facts: Any) -> None:
        state.update(facts)
        write_state(folder / "round.json", state)

    note(state="training", pid=os.getpid())
    run = folder / "run"
    words = [sys.executable, "-m", "mednoisy", "train"]
    if (run / "config.yaml").is_file():
        words += ["--resume", str(run), *(["--trust"] if settings.trust else [])]
        words += ["--device", settings.device] if settings.device else []
    else:
        words += [*words_of(place, number, state), *(["--resume"] if (run / "run.json").is_file() else [])]
    log = folder / "log.txt"
    begin = log.stat().st_size if log.is_file() else 0
    code, stopped = finish(words, settings.threads)
    finished = (run / "report.html").is_file()
    if stopped and not finished:
        note(state="stopped", ended=time.time(), outcome="stopped; it goes on when it is started again")
        return DONE_IN_PART
    if not finished:
        note(state="failed", ended=time.time(), outcome=_fault(log, begin, code))
        return code
    if number == PRETEXT:
        note(state="done", ended=time.time(), outcome="the pretext is learned")
    else:
        deployed, serves = consider(place, int(number))
        prune(place, settings.keep_rounds)  # while this round counts as running, so that none begins
        note(state="done", ended=time.time(), outcome=deployed.reason, serves=serves, figure=figure_of(run).mean)
    launched("scoring", place, log=place.folder / "scoring" / "log.txt")
    return 0


def _fault(log: Path, begin: int, code: int) -> str:
    """The last line of a fault that was logged from a byte on: neither a note nor what ended an earlier attempt."""
    text = log.read_bytes()[begin:].decode(errors="replace") if log.is_file() else ""
    faults: list[str] = FAULT.findall(text)
    return faults[-1] if faults else f"it ended with exit code {code}, see {log}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
