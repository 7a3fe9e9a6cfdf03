"""The state of a run between two steps: made when a stage begins, saved, taken up again, handed to the next stage."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from ignite.engine import Engine
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mednoisy.engines import checkpoint
from mednoisy.engines.distributed import rank_and_ranks, wait_for_all, with_common_statistics
from mednoisy.engines.patch_limits import check_patch
from mednoisy.engines.pretext_stages import hand_over_pretext, keep_pretext, take_up_pretexts
from mednoisy.engines.progress_log import Progress
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stages import PlannedStage, Stage, plan_of
from mednoisy.engines.student_optimisers import StudentOptimisers, memory_format, to_format
from mednoisy.errors import UserError
from mednoisy.methods.method import Method
from mednoisy.networks.bf16_limits import bf16_is_safe, coarsest_map
from mednoisy.pseudo.momentum_teacher import MomentumTeacher

LOGGER = logging.getLogger("mednoisy")
Moments = dict[str, dict]  # student -> state of its optimiser


class TrainingState:
    """What a run has come to: a checkpoint holds it, and whatever works beside the trainer is given it.

    Args:
        stages: what is learned, in order.
        total_steps: of the run, split over the stages in the ratio of their shares.
        patch_size: of the batches, in voxels.
        device: where networks and batches are.
        run_folder: where checkpoints are kept.
        progress: its pending terms are part of the state, its rows are brought back to the step of a checkpoint.
        precision: `fp32` or `bf16` (autocast; falls back to fp32 where a CPU would give NaN gradients).
        channels_last: memory format of networks and images.
        compiled: whether a step's networks run through `torch.compile`, True or one of its modes; validation does not.

    Attributes:
        step: steps done.
        current: the stage at work; `method` and `optimisers` are its own.
        wrapped: the method as a step calls it: in DistributedDataParallel where there are several processes.
        best: of the current stage, name of each checkpoint that was chosen -> its value.
        bad_steps: how many steps were left out since the last good one.
        save_wanted: set by handlers: `last.pt` shall be written at the end of this step.
        rank, ranks: this process's number and how many there are.
    """

    current: PlannedStage
    method: Method
    optimisers: StudentOptimisers
    wrapped: nn.Module

    def __init__(
        self,
        stages: Sequence[Stage],
        total_steps: int,
        patch_size: Sequence[int],
        device: torch.device | str,
        run_folder: RunFolder,
        progress: Progress,
        precision: str = "fp32",
        channels_last: bool = False,
        compiled: bool | str = False,
    ):
        self.stages, self.total_steps = list(stages), total_steps
        self.patch_size, self.device = tuple(patch_size), torch.device(device)
        self.run_folder, self.progress = run_folder, progress
        self.precision, self.channels_last, self.compiled = precision, channels_last, compiled
        self.rank, self.ranks = rank_and_ranks()
        self.step, self.bad_steps = 0, 0
        self.best: dict[str, float] = {}
        self.save_wanted = False
        self._low_precision = False

    @cached_property
    def plan(self) -> list[PlannedStage]:
        """The stages with their first steps and lengths.

        Raises:
            UserError: E110, fewer steps than stages.
        """
        return plan_of(self.stages, self.total_steps)

    @property
    def in_last_stage(self) -> bool:
        """Whether the current stage is the run's last."""
        return self.current.stage is self.stages[-1]

    @property
    def image_format(self) -> torch.memory_format:
        """The memory format of batches of images."""
        return memory_format(2 + len(self.patch_size), self.channels_last)

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """The context in which a step's networks run: `autocast`, and compiled where that is asked for."""
        if not self.compiled:
            with self.autocast():
                yield
            return
        torch.compiler.cudagraph_mark_step_begin()
        with torch.compiler.set_stance("default"), self.autocast():
            yield

    def autocast(self) -> Any:
        """The precision in which networks run, in a step and in validation."""
        if not self._low_precision:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def enter(self, planned: PlannedStage, moments: Moments | None = None) -> None:
        """Make the method and the optimisers of a stage.

        Args:
            moments: of the optimisers of the stage before; taken up where the stage carries them on.

        Raises:
            UserError: E112, a patch that the networks cannot halve.
        """
        self.method = with_common_statistics(planned.stage.method(), self.device)
        check_patch(self.patch_size, self.method)
        self.method.to(self.device)
        to_format(self.method, 2 + len(self.patch_size), self.channels_last)
        self.method.train()
        self.optimisers = StudentOptimisers(self.method, planned.stage.optimiser)
        if moments is not None and planned.stage.carry_optimisers:
            self.optimisers.load_moments(moments)
        self.current, self.best = planned, {}
        self._low_precision = self.precision == "bf16"
        coarsest = coarsest_map(self.patch_size, self.method.students.values())
        if self._low_precision and not bf16_is_safe(self.device.type, coarsest):
            LOGGER.warning("bf16 is unsafe on a CPU for feature maps of %s voxels: training in fp32", coarsest)
            self._low_precision = False
        if self.compiled:
            mode = None if self.compiled is True else self.compiled
            for network in networks_of(self.method):
                network.compile(dynamic=False, mode=mode)  # in place: names of parameters stay as they are
            torch.compiler.set_stance("force_eager")  # but in a step: each new shape or mode would be compiled anew
        self.wrapped = self.method
        if self.ranks > 1:
            on = None if self.device.type == "cpu" else [self.device]
            self.wrapped = DistributedDataParallel(self.method, device_ids=on)

    def hand_over(self) -> tuple[int, Moments]:
        """Put the best students of the current stage, which has ended, into the shared networks.

        Returns:
            Step of the checkpoint that is handed over, and its optimisers' states: of the stage's best on the
            validation section, or of its last step where there is none. Of a pretext the encoders are handed over.

        Raises:
            UserError: E504, encoders that fit no network of the stages that follow.
        """
        step, moments = self.step, self.optimisers.state_dict()
        wait_for_all()  # the best is written by the first process
        name = self.current.stage.name
        path = self.run_folder.checkpoints / f"best_{name}.pt"
        if path.is_file():
            content = checkpoint.load(path, self.device)
            self.method.load_state_dict(content["method"])
            step, moments = content["step"], content["optimisers"]
            LOGGER.info("stage %s hands over step %d, its best", name, step)
        hand_over_pretext(self.plan, self.current, self.method)
        return step, moments

    def snapshot(self) -> dict[str, Any]:
        """All that is needed to go on: plain values and tensors."""
        return {
            "step": self.step,
            "stage": self.current.stage.name,
            "method": self.method.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "best": self.best,
            "bad_steps": self.bad_steps,
            **self.progress.snapshot(),
            "world": self.ranks,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on where `snapshot` was taken; what was chosen or logged at later steps is dropped.

        Raises:
            UserError: E316, the run was on another number of processes; E317, its networks are others; E506, what a
                pretext has learned is gone.
        """
        if content["world"] != self.ranks:
            cause = f"the run was on {content['world']} processes, this is on {self.ranks}"
            raise UserError("E316", cause, "Use as many as before")
        try:
            planned = next(planned for planned in self.plan if planned.stage.name == content["stage"])
            take_up_pretexts(self.plan, planned, self.run_folder.checkpoints)
            self.enter(planned)
            self.method.load_state_dict(content["method"])
            self.optimisers.load_moments(content["optimisers"])
        except (StopIteration, RuntimeError, KeyError, ValueError) as fault:
            raise UserError(
                "E317",
                f"{self.run_folder.checkpoints / 'last.pt'} does not fit the networks and optimisers of this run",
                "Resume with the configuration in config.yaml, or give another --output",
            ) from fault
        self.step, self.best, self.bad_steps = content["step"], content["best"], content["bad_steps"]
        self._drop_later_bests()
        self.progress.restore(self.step, content)

    def save(self) -> None:
        """Write `progress.csv` and, after it, `last.pt`: rows past a checkpoint are dropped on resuming.

        At the end of a pretext's stage also what it has learned, before `last.pt` says that it is done.

        Raises:
            UserError: E320, the disk is full.
        """
        self.save_wanted = False
        if self.rank == 0:
            self.progress.write()
            if self.step == self.current.last:
                keep_pretext(self.current, self.method, self.run_folder.checkpoints)
            checkpoint.save_last(self.run_folder.checkpoints, self.snapshot())

    def keep_best(self, name: str, value: float) -> None:
        """Write the checkpoint `name`.pt if `value` is above its best so far; NaN, undefined, never is.

        Raises:
            UserError: E320, the disk is full.
        """
        if math.isnan(value) or value <= self.best.get(name, -1.0):
            return
        self.best[name] = value
        if self.rank == 0:
            checkpoint.save(self.run_folder.checkpoints / f"{name}.pt", self.snapshot() | {"value": value})

    def _drop_later_bests(self) -> None:
        """Remove the best of steps that will be done again: on a GPU they may come out otherwise."""
        if self.rank == 0:
            for path in self.run_folder.checkpoints.glob("best_*.pt"):
                if checkpoint.load(path)["step"] > self.step:
                    path.unlink()


def networks_of(method: Method) -> list[nn.Module]:
    """What a step of the method runs: its students, and the networks of momentum teachers."""
    teachers = [module.network for module in method.modules() if isinstance(module, MomentumTeacher)]
    return [*method.students.values(), *teachers]


def training_of(engine: Engine) -> TrainingState:
    """The state of the engine to which a handler is attached: its attribute `training`.

    Raises:
        TypeError: the engine has none.
    """
    training = getattr(engine, "training", None)
    if not isinstance(training, TrainingState):
        raise TypeError(f"{type(engine).__name__} has no TrainingState as its attribute 'training'")
    return training
