"""A round begins where the network that serves ended, wherever that leaves its figure honest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mednoisy.engines import checkpoint
from mednoisy.engines.pretext_stages import PREFIX
from mednoisy.engines.run_folder import folds_of
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.workplace import Workplace, read_state

STUDENTS = "students."  # how a method's state dict begins what belongs to a student


@dataclass(frozen=True)
class WarmStart:
    """What a round starts from.

    Attributes:
        parts: of the networks whose weights are taken; none: it starts from scratch.
        remark: why, where a reader would wonder; else empty.
    """

    parts: list[str]
    remark: str = ""


def write_start(place: Workplace, folder: Path, held: Sequence[str], *, folds: bool) -> WarmStart:
    """Write the weights of the network that serves to `folder`, in the form that `--pretext-from` reads.

    Not where folds are trained, for each would have seen what it holds out; nor where the network that serves learned
    from a study that is held out now, is several networks, or has two students of one kind, which would become one.
    """
    serving = Deployed.read(place).round
    if serving is None:
        return WarmStart([])
    before = read_state(place.of_round(serving) / "round.json")
    run = place.of_round(serving) / "run"
    if folds:
        return WarmStart([], "Folds start from scratch: what serves has seen what they hold out.")
    if seen := sorted({*before["labeled"]} & {*held}):
        return WarmStart([], f"It starts from scratch: what serves has learned from {seen[0]}, which is held out now.")
    if folds_of(run):
        return WarmStart([], "It starts from scratch: what serves is several networks.")
    last = checkpoint.load(run / "checkpoints" / "last.pt")
    students: dict[str, dict] = {}
    for key, value in last["method"].items():
        if key.startswith(STUDENTS):
            _, name, entry = key.split(".", 2)
            students.setdefault(name, {})[entry] = value
    kinds = [sorted((key, tuple(value.shape)) for key, value in weights.items()) for weights in students.values()]
    if any(kinds.count(kind) > 1 for kind in kinds):
        return WarmStart([], "It starts from scratch: its two students are of one kind and would become one.")
    if folder.exists():
        shutil.rmtree(folder)
    content = {"step": last["step"], "stage": f"round {serving}", "students": students}
    checkpoint.save(folder / "checkpoints" / f"{PREFIX}serving.pt", content)
    parts = sorted({entry.partition(".")[0] for weights in students.values() for entry in weights})
    return WarmStart(parts, f"It starts from the network of round {serving}.")
