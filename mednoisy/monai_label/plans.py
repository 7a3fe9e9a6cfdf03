"""How a round is trained: what learns from which studies, and the words of `mednoisy train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mednoisy.composition import checked_path
from mednoisy.errors import UserError
from mednoisy.monai_label.studies import Study, held_out, labeled
from mednoisy.monai_label.workplace import Settings, Workplace

FOLDS = 3  # of a training on few labels, where there are so many
WITHOUT_UNLABELED = "supervised"
PRETEXT = "pretext"  # in the place of a round's number


@dataclass(frozen=True)
class Plan:
    """How a round is trained.

    Attributes:
        labeled, unlabeled: how many studies the network learns from with and without a label.
        held: ids of those held out.
        folds: networks that each hold a part of the labeled studies out; None for a single one.
        method: None is the bundle's own.
        remarks: what an annotator should know about it, sentences.
    """

    labeled: int
    unlabeled: int
    held: tuple[str, ...]
    folds: int | None
    method: str | None
    remarks: tuple[str, ...]


def plan_of(studies: Sequence[Study], settings: Settings) -> Plan:
    """Folds while labels are few, then a fixed part held out; a single label gives a network without a figure.

    Raises:
        UserError: E578, nothing is labeled.
    """
    known, held = labeled(studies), held_out(studies)
    if not known:
        raise UserError("E578", "no study is labeled, so there is nothing to train on", "Save a label first")
    unlabeled, remarks = len(studies) - len(known), []
    folds = None if held else settings.folds or FOLDS
    if folds is not None and len(known) < 2:
        folds = None
        remarks.append("With a single label nothing tells how good the network is.")
    elif folds is not None:
        folds = min(folds, len(known))
    if not unlabeled:
        remarks.append("Every study is labeled: the network learns from labels alone.")
    method, aside = method_of(settings, unlabeled), tuple(study.id for study in held)
    return Plan(len(known) - len(held), unlabeled, aside, folds, method, tuple(remarks))


def method_of(settings: Settings, unlabeled: int) -> str | None:
    """What learns where there are so many unlabeled studies."""
    return settings.method if unlabeled else WITHOUT_UNLABELED


def command(settings: Settings, plan: Plan, folder: Path, number: int) -> list[str]:
    """Words behind `mednoisy train` for a new run; seeds differ from round to round."""
    words = [settings.bundle, "--data", checked_path(folder / "data", "--studies")]
    words += ["--output", checked_path(folder / "run", "--studies"), "--seed", str(settings.seed + number)]
    words += ["--labeled", str(plan.labeled)] if plan.labeled else []
    words += ["--folds", str(plan.folds)] if plan.folds else ["--validation", "0"]
    options = {"method": plan.method, "recipe": settings.recipe, "dataset": settings.dataset, "steps": settings.steps}
    for name, value in {**options, "device": settings.device}.items():
        words += [f"--{name}", str(value)] if value is not None else []
    given = list(settings.set)
    if not any(text.startswith("train#stream#repeated=") for text in given):
        given.append("train#stream#repeated=True")  # labels may be fewer than a batch
    return [*words, *(word for text in given for word in ("--set", text))]


def words_of(place: Workplace, number: int | str, state: Mapping[str, Any]) -> list[str]:
    """Words behind `mednoisy train` for a round, of which only numbers are read from its state.

    All else are the settings, which whoever starts the server gives: a folder of studies that came from elsewhere may
    hold a round that was interrupted, and must not say which program goes on with it.
    """
    settings = place.settings()
    if number == PRETEXT:
        return command(settings, Plan(0, state["unlabeled"], (), None, settings.pretext, ()), place.pretext, 0)
    folder, number = place.of_round(int(number)), int(number)
    method, held = method_of(settings, state["unlabeled"]), tuple(state["held"])
    plan = Plan(len(state["labeled"]), state["unlabeled"], held, state["folds"], method, ())
    words = command(settings, plan, folder, number)
    if parts := [part for part in state["start"] if str(part).isidentifier()]:
        return [*words, "--pretext-from", str(folder / "start"), "--set", f"pretext_parts={parts!r}"]
    return [*words, "--pretext-from", str(place.pretext / "run")] if has_pretext(place) else words


def has_pretext(place: Workplace) -> bool:
    """Whether a pretext has been learned from the studies."""
    return (place.pretext / "run" / "report.html").is_file()
