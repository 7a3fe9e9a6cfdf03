"""Old rounds make room: the one that serves, the one before it and the newest stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.training import ENDED, busy
from mednoisy.monai_label.workplace import Workplace, listed_numbers
from mednoisy.notices import tell
from mednoisy.text_files import Unusable, read_json

STATE = "round.json"
OWN = ("data", "start", "run", "expected.json", "log.txt", STATE)  # all of a round, its state last
SECONDS = 60  # between the end of a round and what is still its own: clocks of disks elsewhere differ
LOCK = ".lock"  # looked at, it changes


def prune_when_idle(place: Workplace, keep: int) -> list[int]:
    """As `prune`, from a process that has not the lock of trainings; nothing where a training is at work."""
    if not listed_numbers(place.folder / "rounds"):
        return []
    try:
        with locked(place.folder / "training"):
            return prune(place, keep)
    except UserError as fault:
        if fault.code != "E314":
            raise
        return []


def prune(place: Workplace, keep: int) -> list[int]:
    """Remove what rounds have left but for the one that serves, the one before it and the `keep` newest; their numbers.

    Called with the lock of trainings, so that no round begins meanwhile; nothing is removed while studies are ranked.
    What is not this package's own stays, and with it the whole round: a folder that is a link or has no sound state of
    that number, one that has not ended, an entry of another name, a file that somebody wrote after the end, a run that
    a process is at. A file that the system does not let go is told and left.
    """
    try:
        with locked(place.folder / "scoring"):
            return _prune(place, keep)
    except UserError as fault:
        if fault.code != "E314":
            raise
        return []


def _prune(place: Workplace, keep: int) -> list[int]:
    numbers = [number for number in listed_numbers(place.folder / "rounds") if _has_state(place, number)]
    serving = Deployed.read(place)
    kept = {*numbers[-keep:], *serving.previous[-1:], *([] if serving.round is None else [serving.round])}
    going = [number for number in numbers if number not in kept and _is_our_own(place, number)]
    if not going:
        return []
    previous = tuple(number for number in serving.previous if number not in going)
    if previous != serving.previous:
        replace(serving, previous=previous).write(place)  # first: what is half gone shall not serve again
    removed = []
    for number in going:
        try:
            _remove(place, number)
        except OSError as fault:
            tell(f"round {number} is left: {fault.filename or place.of_round(number)}: {fault.strerror}")
            continue
        removed.append(number)
    if removed:
        tell(f"rounds that are old were removed: {', '.join(map(str, removed))} (--keep-rounds {keep})")
    return removed


def _has_state(place: Workplace, number: int) -> bool:
    folder = place.of_round(number)  # of `007` there is none
    return not folder.is_symlink() and (folder / STATE).is_file()


def _is_our_own(place: Workplace, number: int) -> bool:
    """Whether all that a round's folder holds is the round's, which has ended."""
    folder = place.of_round(number)
    try:
        state = read_json(folder / STATE)
    except Unusable:
        return False
    if not isinstance(state, dict) or state.get("number") != number or state.get("state") not in ENDED:
        return False
    ended = state.get("ended")
    entries = list(folder.iterdir())
    if not isinstance(ended, int | float) or any(entry.name not in OWN or entry.is_symlink() for entry in entries):
        return False
    if busy(folder / "run"):
        return False
    parts = [folder / name for name in ("data", "start", "run")]
    return all(path.lstat().st_mtime <= ended + SECONDS for part in parts for path in _files(part))


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names if name != LOCK)


def _remove(place: Workplace, number: int) -> None:
    """Take away a round and its rankings."""
    folder = place.of_round(number)
    for name in OWN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.rmdir()
    orders = place.folder / "orders" / str(number)
    if orders.is_dir() and not orders.is_symlink():
        for path in orders.glob("*.json"):
            path.unlink()
        if not any(orders.iterdir()):
            orders.rmdir()
