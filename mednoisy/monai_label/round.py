"""A round of training in a process of its own: train or go on, compare, let it serve, and have the studies ranked."""

from __future__ import annotations

import os
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
from mednoisy.monai_label.training import ENDED, launched, log_lines
from mednoisy.monai_label.workplace import Workplace, read_state, write_state

SECONDS_FOR_LOCK, BETWEEN = 60, 0.2  # a round before this one may be leaving; who looks at the lock has it, too
TOLD = "mednoisy: "  # how the line of a fault begins


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
    code, stopped = finish(words, settings.threads)
    finished = (run / "report.html").is_file()
    if stopped and not finished:
        note(state="stopped", ended=time.time(), outcome="stopped; it goes on when it is started again")
        return DONE_IN_PART
    if not finished:
        lines = [line for line in log_lines(folder / "log.txt", 200) if line.startswith(TOLD)]
        outcome = lines[-1].removeprefix(TOLD) if lines else f"it ended with exit code {code}, see {folder / 'log.txt'}"
        note(state="failed", ended=time.time(), outcome=outcome)
        return code
    if number == PRETEXT:
        note(state="done", ended=time.time(), outcome="the pretext is learned")
    else:
        deployed, serves = consider(place, int(number))
        note(state="done", ended=time.time(), outcome=deployed.reason, serves=serves, figure=figure_of(run).mean)
    launched("scoring", place, log=place.folder / "scoring" / "log.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
