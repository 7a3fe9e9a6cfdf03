"""Kill every command at random moments and at every rename, call it again, and compare with one that nothing befell.

    python -m tests.faults.kills --folder WORK                         # every rename, and 20 random moments a command
    python -m tests.faults.kills --folder WORK --share 0.1 --random 3 --seed 1

A kill is SIGKILL, just before or just after the i-th rename or link below the output's folder, or at a moment drawn
from as long as the command takes; every other one is killed once more on its way. Then the command is called again (a
run with --resume): it must end well, leave no temporary file, and give the same files bit for bit, a run the same
weights, optimisers and rows of progress too. Pages show their plots and pictures as one pixel each: drawing them is
most of the time of so small a run, and a page with its plots is one file, written and renamed as one without.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.blank_plots import blank_plots
from tests.engines.small import assert_same, kept
from tests.faults.deadly_renames import Renames
from tests.faults.failing_writes import Command, begin, digests, prepared
from tests.faults.forked import Ended, load_everything, run_forked
from tests.small_runs import train_arguments

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Kill:
    """At a rename, or after so many seconds; perhaps once more after it was called again."""

    rename: int = 0
    after: bool = False
    seconds: float = 600.0
    again_after: float | None = None


def kept_of(place: Path) -> dict[str, Any]:
    """What must not depend on kills."""
    run = kept(place) if (place / "checkpoints").is_dir() else {}
    return {"files": digests(place), "run": run}


def fault_of(command: Command, place: Path, kill: Kill, wanted: dict[str, Any], log: Path) -> str:
    """What is wrong after a kill; empty if nothing."""
    begin(command, place)
    renames = Renames(place, kill.rename, kill.after)
    first = run_forked(command.arguments(place), log, before=renames.install, patience=kill.seconds)
    if first.code not in (KILLED, None, 0):
        return f"exit {first.code}: {first.output[-300:]}"
    if kill.again_after is not None:
        again(command, place, log, kill.again_after)
    last = again(command, place, log)
    if last.code:
        return f"again: exit {last.code}: {last.output[-300:]}"
    if left := [path.name for path in place.rglob(".partial-*")]:
        return f"left: {left}"
    try:
        assert_same(kept_of(place), wanted)
    except AssertionError as other:
        return f"other than without a kill: {other}"[:300]
    return ""


def again(command: Command, place: Path, log: Path, patience: float = 600.0) -> Ended:
    """Call a command once more; a run that has begun goes on, by its whole command where E312 asks for that."""
    words = command.arguments(place)
    if command.again is not None and (place / "config.yaml").is_file():
        words = command.again(place)
    elif command.again is not None and (place / "run.json").is_file():
        words = [*words, "--resume"]
    return run_forked(words, log, patience=patience)


def campaign(work: Path, commands: Sequence[Command], share: float, moments: int, seed: int) -> list[str]:
    """Try a drawn share of all renames and so many moments of each command; prints counts; what did not hold."""
    draw, faults, log = random.Random(seed), [], work / "log"
    print("command", "renames", "kills", "held", sep="\t")
    for command in commands:
        place = work / command.name / "out"
        begin(command, place)
        renames = Renames(place)
        whole = run_forked(command.arguments(place), log, before=renames.install, after=renames.note(log))
        if whole.code:
            raise RuntimeError(f"{command.name} fails without a kill: {whole.output}")
        wanted, count = kept_of(place), int(log.with_suffix(".count").read_text())
        at = [Kill(number, after) for number in range(1, count + 1) for after in (False, True)]
        kills = draw.sample(at, min(len(at), max(1, round(len(at) * share)))) if share else []
        kills += [Kill(seconds=draw.uniform(0, whole.seconds)) for _ in range(moments)]
        twice = [
            Kill(one.rename, one.after, one.seconds, draw.uniform(0, whole.seconds)) if number % 2 else one
            for number, one in enumerate(kills)
        ]
        held = 0
        for kill in twice:
            if fault := fault_of(command, place, kill, wanted, log):
                faults.append(f"{command.name}: {kill}: {fault}")
                print(faults[-1], flush=True)
            held += not fault
        print(command.name, count, len(twice), held, sep="\t", flush=True)
    return faults


def all_commands(work: Path) -> list[Command]:
    """Those of the campaign of failing writes, and a run of two stages that keeps checkpoints on its way."""
    stages = ("--method", "sdcl", "--steps", "8", "--set", "precision=fp32")
    commands = prepared(work)
    staged = Command(
        "sdcl",
        lambda place: train_arguments(work / "data", place, *stages),
        commands[0].again,
    )
    return [staged, *commands]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of all renames, before and after (default: all)")
    parser.add_argument("--random", type=int, default=20, help="moments of each command (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="commands by name")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    load_everything()
    with blank_plots():
        chosen = [command for command in all_commands(folder) if not given.only or command.name in given.only]
        sys.exit(1 if campaign(folder, chosen, given.share, given.random, given.seed) else 0)
