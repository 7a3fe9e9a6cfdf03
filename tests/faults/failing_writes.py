"""Let the i-th write of every command fail, see how it ends, and whether calling again gives what no fault gives.

    python -m tests.faults.failing_writes --folder WORK          # all, hours
    python -m tests.faults.failing_writes --folder WORK --share 0.05 --seed 1

An attempt ends as it should if it tells E320 in one line, without a traceback, with exit code 1; if no file of the
output is half-written; and if the command, called again (a run with --resume), ends well with the same figures and
leaves no temporary file. A write whose loss changes nothing, such as that of a lock file on exit, may also end well.
Pages show their plots and pictures as one pixel each, which leaves their writes as they are.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.data.images import write_picture
from tests.blank_plots import blank_plots
from tests.faults.forked import load_everything, run_forked
from tests.faults.injection import FailingWrites
from tests.small_runs import small_dataset, train_arguments

KINDS = [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False)]
COMPARED = ("metrics.csv", "scores.csv", "datalist.json", "*.nii.gz", "*.png", "cases.csv", "rows.csv", "table.md")


@dataclass(frozen=True)
class Command:
    """A command whose output goes below a folder; `again` is what goes on with it."""

    name: str
    arguments: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]] | None = None
    begins_with: Path | None = None  # a copy of this folder is the output to begin with


@dataclass(frozen=True)
class Attempt:
    """How a command ended in a process of its own."""

    code: int
    output: str
    seen: list[str]

    @property
    def fault(self) -> str:
        """What is wrong about the end of a command one of whose writes failed; empty if nothing."""
        lines = [line for line in self.output.splitlines() if line.startswith("mednoisy: ")]
        if "Traceback" in self.output:
            return "traceback: " + self.output.splitlines()[-1]
        if self.code == 0:
            return ""
        if self.code != 1 or len(lines) != 1 or not lines[0].startswith("mednoisy: E320 "):
            return f"exit {self.code}, {lines}"
        return ""


def attempted(arguments: Sequence[str], writes: FailingWrites, log: Path) -> Attempt:
    """Run a command in a fork, see `run_forked`."""

    def note() -> None:
        writes.number = 0
        log.with_suffix(".seen").write_text("\n".join(writes.seen))

    ended = run_forked(arguments, log, before=writes.install, after=note)
    return Attempt(
        124 if ended.code is None else ended.code, ended.output, log.with_suffix(".seen").read_text().splitlines()
    )


def digests(folder: Path) -> dict[str, str]:
    """Digest of each file that must not depend on what was interrupted."""
    paths = {path for pattern in COMPARED for path in folder.rglob(pattern)}
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def campaign(work: Path, commands: Sequence[Command], share: float, seed: int) -> list[str]:
    """Try a drawn share of all writes of all commands; prints counts; what did not end as it should."""
    faults, draw = [], random.Random(seed)
    for command in commands:
        place, whole = work / command.name / "out", work / command.name / "whole"
        counts: Counter[str] = Counter()
        begin(command, place)
        reference = attempted(command.arguments(place), FailingWrites(place), work / "log")
        if reference.code:
            raise RuntimeError(f"{command.name} fails without a fault: {reference.output}")
        shutil.rmtree(whole, ignore_errors=True)
        place.rename(whole)
        trials = [(number, *kind) for number in range(1, len(reference.seen) + 1) for kind in KINDS]
        for number, code, stays in draw.sample(trials, max(1, round(len(trials) * share))):
            begin(command, place)
            first = attempted(command.arguments(place), FailingWrites(place, number, code, stays), work / "log")
            fault = first.fault
            if not fault and first.code:
                resumable = command.again and (place / "run.json").is_file()
                again = (command.again if resumable else command.arguments)(place)  # type: ignore[misc]
                second = attempted(again, FailingWrites(place), work / "log")
                if second.code:
                    fault = f"again: exit {second.code} {second.output[-300:]}"
                elif list(place.rglob(".partial-*")):
                    fault = "a temporary file is left"
            if not fault and digests(place) != digests(whole):
                fault = "other figures"
            counts["tried"] += 1
            counts["held" if not fault else "failed"] += 1
            if fault:
                where = f"{reference.seen[number - 1]!r} ({number}), {errno.errorcode[code]}{' stays' * stays}"
                faults.append(f"{command.name}: {where}: {fault}")
                print(faults[-1], flush=True)
        print(f"{command.name}: {len(reference.seen)} writes, {dict(counts)}", flush=True)
    return faults


def begin(command: Command, place: Path) -> None:
    """The output's folder as the command finds it."""
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    if command.begins_with is not None:
        shutil.copytree(command.begins_with, place)


def prepared(work: Path) -> list[Command]:
    """The commands, on data and a run that are made here."""
    data, run, raw = work / "data", work / "run", work / "raw"
    if not (run / "report.html").is_file():
        small_dataset(data)
        shutil.rmtree(run, ignore_errors=True)
        first = attempted(train_arguments(data, run, "--method", "supervised"), FailingWrites(work), work / "log")
        if first.code:
            raise RuntimeError(f"no run to begin with: {first.output}")
        _pictures(raw)
    images = [str(path) for path in sorted((data / "images").iterdir())[:3]]
    references = sorted((run / "predictions").iterdir())
    (work / "references").mkdir(exist_ok=True)
    for path in references:
        shutil.copyfile(data / "labels" / path.name, work / "references" / path.name)
    resume = lambda place: ["train", "--resume", str(place)]  # noqa: E731
    folders = ["--predictions", str(run / "predictions"), "--references", str(work / "references"), "--workers", "1"]
    noisy = ("--method", "noisy_student", "--steps", "4")
    return [
        Command("train", lambda place: train_arguments(data, place, "--method", "supervised"), resume),
        Command("noisy_student", lambda place: train_arguments(data, place, *noisy), resume),
        Command("evaluate_run", lambda place: ["evaluate", str(place)], begins_with=run),
        Command("evaluate_folders", lambda place: ["evaluate", *folders, "--output", str(place)]),
        Command("predict", lambda place: ["predict", str(run), *images, "--device", "cpu", "--output", str(place)]),
        Command("prepare", lambda place: ["prepare", "dermoscopy", str(raw), str(place)]),
        Command("report", lambda place: ["report", str(run), "--output", str(place / "page.html")]),
        Command("compare", lambda place: ["compare", str(run), str(run), "--output", str(place / "page.html")]),
    ]


def _pictures(raw: Path) -> None:
    draw = np.random.default_rng(0)
    parts = {"train": ["a", "b", "c"], "val": [], "test": ["d"]}
    for case in "abcd":
        write_picture(raw / "images" / f"{case}.png", draw.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        write_picture(raw / "masks" / f"{case}.png", draw.integers(0, 2, (24, 24)) > 0)
    (raw / "split.json").write_text(str(parts).replace("'", '"'))


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of all writes and kinds of fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="commands by name")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    load_everything()
    with blank_plots():
        chosen = [command for command in prepared(folder) if not given.only or command.name in given.only]
        sys.exit(1 if campaign(folder, chosen, given.share, given.seed) else 0)
