"""Noisy-student rounds: a teacher labels the unlabeled cases, a student learns from them, and labels them anew."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from tqdm import tqdm

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.load_case import checking_reader
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.engines.disk_full import writing
from mednoisy.engines.distributed import wait_for_all
from mednoisy.engines.learning_rates import Constant
from mednoisy.engines.progress_bars import bar
from mednoisy.engines.pseudo_label_files import RoundFiles, cases_to_label
from mednoisy.engines.pseudo_labels import PseudoLabels, Teacher
from mednoisy.engines.stages import PlannedStage, Stage
from mednoisy.engines.stop_signals import StopSignals
from mednoisy.engines.training_state import TrainingState
from mednoisy.errors import UserError, check_whole
from mednoisy.inference.prediction import predict_case
from mednoisy.methods.method import Method

LOGGER = logging.getLogger("mednoisy")


def noisy_rounds(
    rounds: int,
    network: nn.Module,
    method: Callable[[nn.Module], Method],
    optimiser: Callable[[Iterable[Parameter]], Optimizer],
    labeled: int,
    pseudo: PseudoLabels,
    schedule: Callable[[int, int], float] = Constant(),  # noqa: B008, it is frozen
    fresh: bool = True,
    shares: Sequence[float] | None = None,
    teacher: Callable[[], Teacher] | None = None,
) -> list[Stage]:
    """The stages `teacher`, `student1`, `student2` and so on, one student for each round.

    Args:
        rounds: of pseudo-labels, 1 or more; published: 2, student and student*.
        network: with its initial weights; the last student is the module itself.
        method: makes the method that trains a network.
        optimiser, labeled, schedule: of every stage, see `Stage`.
        pseudo: how each round labels.
        fresh: every stage trains a copy of the network from the same initial weights (published: each trains anew);
            else a student goes on from the weights of its teacher.
        shares: of the stages in the steps, in order; equal by default.
        teacher: labels the first round; there is no stage `teacher` then, and the first student begins with the
            initial weights in any case.

    Raises:
        ValueError: `rounds` below 1, or another number of shares than of stages.
    """
    check_whole("rounds", rounds, least=1)
    names = [*(["teacher"] if teacher is None else []), *(f"student{number}" for number in range(1, rounds + 1))]
    parts = [1.0] * len(names) if shares is None else list(shares)
    if len(parts) != len(names):
        raise ValueError(f"shares are {parts}; there are {len(names)} stages: {', '.join(names)}")
    labels: list[PseudoLabels | None] = [pseudo] * len(names)
    labels[0] = None if teacher is None else replace(pseudo, teacher=teacher)
    networks = [*((deepcopy(network) if fresh else network) for _ in names[1:]), network]
    return [
        Stage(name, partial(method, trained), share, optimiser, labeled, schedule=schedule, pseudo=of_stage)
        for name, trained, share, of_stage in zip(names, networks, parts, labels, strict=True)
    ]


def check_round(pseudo: PseudoLabels, datalist: Datalist | None, main: bool) -> None:
    """Refuse, before hours of training, what a round would stumble over; files are read by the main process.

    Raises:
        UserError: E360, there is no unlabeled case; E363, a teacher of other classes, and what making it refuses;
            E201 to E209, an image or a hidden reference is at fault.
        ValueError: there is no datalist.
    """
    if datalist is None:
        raise ValueError("a stage with pseudo-labels needs the trainer's datalist")
    cases = cases_to_label(datalist)
    if not cases:
        raise UserError("E360", "there is no unlabeled case to label", "Add some, or lower --labeled")
    if pseudo.teacher is not None:
        _of_same_classes(pseudo.teacher(), datalist)
    references = {case["id"]: case for case in datalist.cases("hidden")}
    load = checking_reader(pseudo.preprocessing, datalist.labels)
    for case in tqdm(cases if main else [], desc="check unlabeled cases", unit="case", disable=None):
        load(dict(case | references.get(case["id"], {})))


def pseudo_labeled(
    training: TrainingState, planned: PlannedStage, step: int | None, datalist: Datalist | None, signals: StopSignals
) -> list[Case]:
    """The pseudo-labeled cases of the round with which a stage begins; they are made where they are not there.

    Args:
        training: still in the stage before, or within the stage if that goes on.
        planned: the stage.
        step: which `training`'s method, that of the stage before, hands over; None where that stage is past.
        datalist: of the run; its unlabeled cases are labeled.
        signals: looked at between two cases.

    Raises:
        UserError: E361, no case is kept; E362, files of a round that has begun to train are gone; E320, a full
            disk; E331, stopped between two cases.
    """
    pseudo, stage = planned.stage.pseudo, planned.stage.name
    assert pseudo is not None and datalist is not None  # noqa: PT018, `check_round` ran before
    files = RoundFiles(training.run_folder.path / "rounds" / stage, datalist, pseudo.rules)
    if pseudo.teacher is not None and training.step == planned.first:
        _label(training, signals, stage, files, _of_same_classes(pseudo.teacher(), datalist))
    elif pseudo.teacher is None and step is not None:
        predictor, network = next(iter(training.method.predictors().items()))
        seen_as = pseudo.preprocessing, pseudo.inferer, datalist.labels
        teacher = Teacher(training.current.stage.name, predictor, network, step, *seen_as)
        _label(training, signals, stage, files, teacher)
    elif not files.whole:
        cause = f"{files.datalist_file}, which stage {stage} trains on, is gone"
        raise UserError("E362", cause, "Restore the folder, or train again")
    page = files.folder / "page.html"
    if training.rank == 0 and pseudo.page is not None and not page.is_file():
        with writing(page):
            pseudo.page(files.folder, training.run_folder.path.name)
    return Datalist.load(files.datalist_file).cases("pseudo")


def with_pseudo_labeled(loader: StreamLoader, cases: Sequence[Case], ratio: float | None) -> StreamLoader:
    """A loader whose labeled section holds `cases` too, the others repeated to hold `ratio` (see `PseudoLabels`)."""
    labeled = loader.stream.labeled
    repeats = 1 if ratio is None else max(1, math.ceil(len(cases) / (ratio * len(labeled.data))))
    return loader.with_labeled(labeled.extended(cases, repeats))


def _label(training: TrainingState, signals: StopSignals, stage: str, files: RoundFiles, teacher: Teacher) -> None:
    """Let a teacher label all cases, each process its share, and write the round's figures."""
    mark = {
        "stage": stage,
        "teacher": teacher.source,
        "teacher_step": teacher.step,
        "teacher_digest": teacher.digest,
        "predictor": teacher.predictor,
        "rules": asdict(files.rules),
    }
    if training.rank == 0:
        files.begin(mark)
    wait_for_all()
    if files.whole:
        return
    cases, rank, ranks = cases_to_label(files.datalist), training.rank, training.ranks
    with bar(total=len(cases), desc=f"labels for {stage}", unit="case", disable=rank > 0) as progress:
        for first in range(0, len(cases), ranks):
            signals.stop_together(training.step, training.device)
            for case in cases[first : first + ranks][rank : rank + 1]:
                if not files.has(case):
                    _label_case(case, files, teacher, training.device)
            progress.update(min(ranks, len(cases) - first))
    wait_for_all()
    if rank == 0:
        LOGGER.info("round %s: %s", stage, _in_words(files.finish(mark)))
    wait_for_all()


def _label_case(case: Case, files: RoundFiles, teacher: Teacher, device: torch.device) -> None:
    name, predictors = teacher.predictor, {teacher.predictor: teacher.network}
    prediction = predict_case(case, predictors, teacher.preprocessing, teacher.inferer, device, confidence=True)
    files.write_case(case, prediction.labels[name], prediction.confidence[name], prediction.affine)


def _of_same_classes(teacher: Teacher, datalist: Datalist) -> Teacher:
    """The teacher, if its codes mean what the datalist's do (else E363)."""
    if dict(teacher.labels) != datalist.labels:
        theirs, ours = (", ".join(labels.values()) for labels in (teacher.labels, datalist.labels))
        cause = f"the teacher {teacher.source} tells apart {theirs}; the dataset has {ours}"
        raise UserError("E363", cause, "Give a run on the same classes, in the same order")
    return teacher


def _in_words(figures: Mapping[str, Any]) -> str:
    """Figures of a round in one line."""
    counts = f"{figures['kept']} of {figures['unlabeled']} pseudo-labels kept"
    line = f"{counts}, mean confidence {figures['confidence']:.3f}, area {figures['area']:.4f}"
    if figures["dice"] is None:
        return line
    return f"{line}; Dice to the hidden references {figures['dice']:.4f}, of those kept {figures['dice_kept'] or 0:.4f}"
