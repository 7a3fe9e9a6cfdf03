"""Which round's network serves: a new one takes over where it is not worse, and the one before can be taken back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.data.images import case_name
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.monai_label.workplace import Workplace, read_state, write_state

NONE: Mapping[str, Any] = {"round": None, "previous": [], "reason": "no network has been trained yet"}


@dataclass(frozen=True)
class Figure:
    """The Dice of a round on labeled studies that the network which was scored had not learned from.

    Attributes:
        mean: over studies of the mean over classes; None where no study was held out.
        studies: by id.
    """

    mean: float | None
    studies: Mapping[str, float]

    def __str__(self) -> str:
        if self.mean is None:
            return "no figure: a single label leaves none to compare with"
        return f"Dice {100 * self.mean:.1f} % on {len(self.studies)} held-out studies"


def figure_of(run: Path) -> Figure:
    """What a finished run has scored: of folds every labeled study, each by the network that had not seen it.

    A study with a class that neither reference nor prediction has does not count that class.
    """
    by_study: dict[str, list[float]] = {}
    for row in [row for folder in folds_of(run) or [run] for row in read_finished_run(folder).metrics]:
        dice = float(row["dice"])
        if not math.isnan(dice):
            by_study.setdefault(str(row["case"]), []).append(dice)
    studies = {study: float(np.mean(dices)) for study, dices in by_study.items()}
    return Figure(float(np.mean(list(studies.values()))) if studies else None, studies)


@dataclass(frozen=True)
class Deployed:
    """What serves.

    Attributes:
        round: its number; None where there is none yet.
        previous: numbers of rounds that served before, the last one last.
        reason: why it is this one, in a sentence.
    """

    round: int | None
    previous: tuple[int, ...]
    reason: str

    @classmethod
    def read(cls, place: Workplace) -> Deployed:
        """What serves now (E580, the file that tells is damaged)."""
        content = read_state(_file(place), NONE)
        return cls(content["round"], tuple(content["previous"]), content["reason"])

    def write(self, place: Workplace) -> None:
        """From now on this one serves."""
        write_state(_file(place), asdict(self))


def consider(place: Workplace, number: int) -> tuple[Deployed, bool]:
    """Let the network of a finished round serve if it is not worse than the one that does; and whether it does now.

    Both are compared on the studies that were held out of both and scored against the same label; where there is no
    such study, the new network, which had more labels, takes over, unless it alone has no figure.
    """
    serving = Deployed.read(place)
    if serving.round == number:
        return serving, True
    better, reason = _verdict(place, serving.round, number)
    if not better:
        kept = Deployed(serving.round, serving.previous, reason)
        kept.write(place)
        return kept, False
    before = serving.previous if serving.round is None else (*serving.previous, serving.round)
    new = Deployed(number, before, reason)
    new.write(place)
    return new, True


def take_back(place: Workplace) -> Deployed:
    """Let the network serve again that served before.

    Raises:
        UserError: E579, there was none.
    """
    serving = Deployed.read(place)
    if not serving.previous:
        one = "the first" if serving.round is None else f"round {serving.round}"
        raise UserError("E579", f"no network served before {one}", "Train another round")
    *before, number = serving.previous
    reason = f"round {number} was taken back in place of round {serving.round}"
    taken = Deployed(number, tuple(before), reason)
    taken.write(place)
    return taken


def _verdict(place: Workplace, serving: int | None, number: int) -> tuple[bool, str]:
    new = figure_of(place.of_round(number) / "run")
    if serving is None:
        return True, f"round {number} serves, the first network: {new}"
    old = figure_of(place.of_round(serving) / "run")
    then, now = _labels_of(place, serving), _labels_of(place, number)
    common = [study for study in sorted(new.studies.keys() & old.studies.keys()) if then.get(study) == now.get(study)]
    if not common:
        if old.mean is not None and new.mean is None:
            return False, f"round {serving} stays: of round {number} there is {new}"
        return True, f"round {number} serves: {new}; it has no held-out label in common with round {serving}"
    means = {name: 100 * float(np.mean([figure.studies[study] for study in common]))
             for name, figure in (("new", new), ("old", old))}  # fmt: skip
    told = f"Dice {means['new']:.1f} % against {means['old']:.1f} % on {len(common)} studies held out of both"
    if means["new"] < means["old"]:
        return False, f"round {serving} stays: round {number} reached {told}"
    return True, f"round {number} serves in place of round {serving}: {told}"


def _labels_of(place: Workplace, number: int) -> dict[str, bytes]:
    """By study the digest of the label that a round was scored against: it may have been corrected since."""
    kept = place.of_round(number) / "data" / "labels"
    files = kept.iterdir() if kept.is_dir() else ()
    return {case_name(path): hashlib.sha256(path.read_bytes()).digest() for path in files}


def _file(place: Workplace) -> Path:
    return place.folder / "deployed.json"
