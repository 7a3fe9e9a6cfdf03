"""Noisy-student rounds: a teacher labels the unlabeled cases, a student learns from them, and labels them anew."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from monai.transforms import Compose
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from tqdm import tqdm

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.load_case import checking_reader
from mednoisy.data.training_stream import StreamLoader
from mednoisy.engines.disk_full import writing
from mednoisy.engines.learning_rates import Constant
from mednoisy.engines.progress_bars import bar
from mednoisy.engines.pseudo_label_files import RoundFiles, cases_to_label
from mednoisy.engines.stages import PlannedStage, Stage
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.errors import UserError, check_whole
from mednoisy.inference.prediction import predict_case
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.method import Method
from mednoisy.pseudo.selection_rules import SelectionRules

LOGGER = logging.getLogger("mednoisy")


@dataclass(frozen=True)
class Teacher:
    """Who labels a round.

    Attributes:
        source: the stage before, or the folder of a finished run.
        predictor: name of what is deployed there.
        network: maps images to logits.
        step: of its checkpoint.
        preprocessing, inferer: how it is shown an image, as in `predict_case`.
        labels: name of each class code that it knows.
    """

    source: str
    predictor: str
    network: nn.Module
    step: int
    preprocessing: Compose
    inferer: SlidingWindow
    labels: Mapping[int, str]

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of the network's weights and buffers."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class PseudoLabels:
    """How a round labels the unlabeled cases, and which of them its student sees.

    The deployed predictor of the stage before, as handed over, labels each case on the grid of its file; files, filter
    and figures are those of `RoundFiles`, in RUN/rounds/STAGE. Interrupted, a round keeps what its own teacher has
    labeled; the files of any other teacher or rules are thrown away.

    Attributes:
        preprocessing, inferer: how the stage before is shown an image, as in `predict_case`.
        rules: which labels are kept.
        ratio: how many pseudo-labeled cases come with one labeled case at most; labeled ones are repeated to hold it.
            None: all as they are, each once an epoch, as in the published lists.
        page: (folder, name of the run): writes `page.html` of the finished round, its pictures and figures, there.
        teacher: makes the teacher, in place of the stage before.

    Source: Dzieniszewska et al. 2024. The released code holds no generating script; the most probable class is ours.
    """

    preprocessing: Compose
    inferer: SlidingWindow
    rules: SelectionRules = field(default_factory=SelectionRules)
    ratio: float | None = None
    page: Callable[[Path, str], Any] | None = None
    teacher: Callable[[], Teacher] | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None and not self.ratio > 0:
            raise ValueError(f"ratio is {self.ratio}; it must be above 0, or None")

    def check(self, datalist: Datalist | None, main: bool) -> None:
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
        if self.teacher is not None:
            _of_same_classes(self.teacher(), datalist)
        references = {case["id"]: case["label"] for case in datalist.cases("hidden")}
        load = checking_reader(self.preprocessing, datalist.labels)
        for case in tqdm(cases if main else [], desc="check unlabeled cases", unit="case", disable=None):
            reference = {"label": references[case["id"]]} if case["id"] in references else {}
            load(dict(case | reference))

    def extended(self, trainer: SemiSupervisedTrainer, planned: PlannedStage, step: int | None) -> StreamLoader:
        """The trainer's loader with the round's pseudo-labeled cases; they are made first where they are not there.

        Args:
            planned: the stage that begins with the round, or goes on.
            step: which the trainer's method, the stage before, hands over; None where that stage is past.

        Raises:
            UserError: E361, no case is kept; E362, files of a round that has begun to train are gone; E320, a full
                disk; E331, stopped between two cases.
        """
        assert trainer.datalist is not None  # `check` ran before
        stage = planned.stage.name
        files = RoundFiles(trainer.run_folder.path / "rounds" / stage, trainer.datalist, self.rules)
        if self.teacher is not None and trainer.state.iteration == planned.first:
            self._label(trainer, stage, files, _of_same_classes(self.teacher(), trainer.datalist))
        elif self.teacher is None and step is not None:
            predictor, network = next(iter(trainer.method.predictors().items()))
            seen_as = self.preprocessing, self.inferer, trainer.datalist.labels
            self._label(trainer, stage, files, Teacher(trainer.current.stage.name, predictor, network, step, *seen_as))
        elif not files.whole:
            cause = f"{files.datalist_file}, which stage {stage} trains on, is gone"
            raise UserError("E362", cause, "Restore the folder, or train again")
        if trainer.rank == 0 and self.page is not None and not (files.folder / "page.html").is_file():
            with writing(files.folder / "page.html"):
                self.page(files.folder, trainer.run_folder.path.name)
        labeled = trainer.loader.stream.labeled
        cases = Datalist.load(files.datalist_file).cases("pseudo")
        repeats = 1 if self.ratio is None else max(1, math.ceil(len(cases) / (self.ratio * len(labeled.data))))
        return trainer.loader.with_labeled(labeled.extended(cases, repeats))

    def _label(self, trainer: SemiSupervisedTrainer, stage: str, files: RoundFiles, teacher: Teacher) -> None:
        mark = {
            "stage": stage,
            "teacher": teacher.source,
            "teacher_step": teacher.step,
            "teacher_digest": teacher.digest,
            "predictor": teacher.predictor,
            "rules": asdict(self.rules),
        }
        if trainer.rank == 0:
            files.begin(mark)
        _wait_for_all(trainer)
        if files.whole:
            return
        cases, ranks = cases_to_label(files.datalist), trainer.ranks
        with bar(total=len(cases), desc=f"labels for {stage}", unit="case", disable=trainer.rank > 0) as progress:
            for first in range(0, len(cases), ranks):
                trainer.stop_if_told()
                for case in cases[first : first + ranks][trainer.rank : trainer.rank + 1]:
                    if not files.has(case):
                        self._label_case(case, files, teacher, trainer.state.device)
                progress.update(min(ranks, len(cases) - first))
        _wait_for_all(trainer)
        if trainer.rank == 0:
            LOGGER.info("round %s: %s", stage, _told(files.finish(mark)))
        _wait_for_all(trainer)

    def _label_case(self, case: Case, files: RoundFiles, teacher: Teacher, device: torch.device) -> None:
        name, predictors = teacher.predictor, {teacher.predictor: teacher.network}
        found = predict_case(case, predictors, teacher.preprocessing, teacher.inferer, device, confidence=True)
        files.write_case(case, found.labels[name], found.confidence[name], found.affine)


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


def _of_same_classes(teacher: Teacher, datalist: Datalist) -> Teacher:
    """The teacher, if its codes mean what the datalist's do (else E363)."""
    if dict(teacher.labels) != datalist.labels:
        theirs, ours = (", ".join(labels.values()) for labels in (teacher.labels, datalist.labels))
        cause = f"the teacher {teacher.source} tells apart {theirs}; the dataset has {ours}"
        raise UserError("E363", cause, "Give a run on the same classes, in the same order")
    return teacher


def _wait_for_all(trainer: SemiSupervisedTrainer) -> None:
    if trainer.ranks > 1:
        dist.barrier()


def _told(figures: Mapping[str, Any]) -> str:
    """Figures of a round in one line."""
    counts = f"{figures['kept']} of {figures['unlabeled']} pseudo-labels kept"
    line = f"{counts}, mean confidence {figures['confidence']:.3f}, area {figures['area']:.4f}"
    if figures["dice"] is None:
        return line
    return f"{line}; Dice to the hidden references {figures['dice']:.4f}, of those kept {figures['dice_kept'] or 0:.4f}"
