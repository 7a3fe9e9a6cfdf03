"""Stages: a method run for a number of steps; the stages of one run are one resumable whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import Module, Parameter
from torch.optim import Optimizer

from mednoisy.engines.learning_rates import Constant
from mednoisy.engines.pseudo_labels import PseudoLabels
from mednoisy.errors import UserError, check_whole
from mednoisy.losses.segmentation import check_dice
from mednoisy.methods.method import Method
from mednoisy.methods.pretext import Pretext

MakeOptimiser = Callable[[Iterable[Parameter]], Optimizer]
Schedule = Callable[[int, int], float]
UNSET_SCHEDULE = Constant()  # told from a schedule that a stage names by being this very object


def unset_optimiser(parameters: Iterable[Parameter]) -> Optimizer:
    """Stands for the optimiser of a stage that names none.

    Raises:
        ValueError: always; `completed` puts the run's in its place.
    """
    raise ValueError("the stage names no optimiser, and none of the run was put in its place")


@dataclass(frozen=True)
class Stage:
    """One method, its data and its optimiser.

    Networks are shared between the methods of a run: a stage starts from what the stage before hands
    over, its honest best (its last where there is no validation section).

    Attributes:
        name: names draws and files; unique in a run.
        method: makes the method; called when the stage begins, so that a momentum teacher is a copy of
            the handed-over student.
        share: the stage's part of all steps, relative to the other stages (a recipe's number of steps).
        optimiser: makes an optimiser of one student's parameters; the run's where none is named, see `completed`.
        labeled, unlabeled: crops of each section a step (and process).
        images: crops of all cases of both sections a step instead, without any label: of a pretext.
        schedule: (step, length) -> factor on the learning rate; the run's where none is named, 1 without `completed`.
        carry_optimisers: continue with the moments of the stage before, where students have the same names.
        pseudo: a round: before the stage begins, what the stage before hands over labels the unlabeled cases, and
            those that are kept join the labeled ones.
    """

    name: str
    method: Callable[[], Method]
    share: float = 1
    optimiser: MakeOptimiser = unset_optimiser
    labeled: int = 0
    unlabeled: int = 0
    schedule: Schedule = UNSET_SCHEDULE
    carry_optimisers: bool = False
    pseudo: PseudoLabels | None = None
    images: int = 0

    def __post_init__(self) -> None:
        if not self.share > 0:
            raise ValueError(f"share of stage {self.name} is {self.share}; it must be above 0")
        for name in ("method", "optimiser", "schedule"):
            if not callable(getattr(self, name)):
                raise ValueError(f"{name} of stage {self.name} is {getattr(self, name)!r}, which makes none")
        check_whole(f"batch of stage {self.name}, images,", self.images, least=0)
        check_whole(f"batch of stage {self.name}, labeled,", self.labeled, least=0 if self.images else 1)
        check_whole(f"batch of stage {self.name}, unlabeled,", self.unlabeled, least=0)
        if self.images and (self.labeled or self.unlabeled):
            raise ValueError(f"stage {self.name} draws images of all cases, so none of a section alone")


def completed(stages: Sequence[Stage], optimiser: MakeOptimiser, schedule: Schedule) -> list[Stage]:
    """The stages, each with the run's optimiser and schedule where it names none of its own."""
    return [
        replace(
            stage,
            optimiser=optimiser if stage.optimiser is unset_optimiser else stage.optimiser,
            schedule=schedule if stage.schedule is UNSET_SCHEDULE else stage.schedule,
        )
        for stage in stages
    ]


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse stages whose method, optimisers or schedule cannot be made, before hours of an earlier stage.

    They are made, and thrown away: networks, weights and torch's generators stay as they are.

    Raises:
        UserError: E107, an argument that one of them refuses, or something that is none of them; what a method's
            `check_crops` refuses.
    """
    for stage in stages:
        try:
            with torch.random.fork_rng(devices=[]):
                method = stage.method()
                method.check_crops(stage.labeled, stage.unlabeled)
                check_dice(getattr(method, "dice", "per_sample"))  # else refused by the loss, in the first step
                for name, student in method.students.items():
                    (method.optimiser(name) or stage.optimiser)(list(student.parameters()))
            float(stage.schedule(0, 1))
        except (TypeError, ValueError, LookupError) as fault:
            cause = f"a value of the configuration is refused: stage {stage.name!r} cannot be made, {fault}"
            raise UserError("E107", cause, "Correct it (--set ID=VALUE)") from fault


def students_of(stages: Sequence[Stage]) -> list[Module]:
    """The networks that the stages train, each once; of a pretext those whose copies it trains."""
    return [network for _, network in named_networks(stages)]


def networks_to_start(method: Method) -> dict[str, Module]:
    """The networks whose weights a method begins with, by student."""
    return dict(method.starts if isinstance(method, Pretext) else method.students.items())


def named_networks(stages: Sequence[Stage]) -> list[tuple[str, Module]]:
    """The networks that stages train, each once, with the name of the first student that they are."""
    named: dict[Module, str] = {}
    for stage in stages:
        with torch.random.fork_rng(devices=[]):
            method = stage.method()
        for name, network in networks_to_start(method).items():
            named.setdefault(network, name)
    return [(name, network) for network, name in named.items()]


def split_steps(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers of steps in the ratio of `shares` that add up to `total`, each at least 1.

    Raises:
        UserError: fewer steps than stages.
    """
    if total < len(shares):
        raise UserError("E110", f"{total} steps for {len(shares)} stages", f"Use --steps {len(shares)} or more")
    exact = [total * share / sum(shares) for share in shares]
    steps = [max(1, int(part)) for part in exact]
    by_need = sorted(range(len(shares)), key=lambda i: exact[i] - steps[i], reverse=True)
    while sum(steps) != total:
        for i in by_need if sum(steps) < total else reversed(by_need):
            change = 1 if sum(steps) < total else -1
            if sum(steps) != total and steps[i] + change >= 1:
                steps[i] += change
    return steps


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its place in the run: global steps `first` to `first + steps`."""

    stage: Stage
    first: int
    steps: int

    @property
    def last(self) -> int:
        return self.first + self.steps


def plan_of(stages: Sequence[Stage], total: int) -> list[PlannedStage]:
    """The stages of a run of `total` steps with their first steps and lengths.

    Raises:
        UserError: as `split_steps`.
    """
    steps = split_steps(total, [stage.share for stage in stages])
    return [PlannedStage(stage, sum(steps[:number]), steps[number]) for number, stage in enumerate(stages)]
