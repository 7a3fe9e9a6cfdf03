"""The engine: runs a method's steps, one backward per student, through all stages of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mednoisy.data.batch import Batch
from mednoisy.data.datalist import Datalist
from mednoisy.data.draws import Draw
from mednoisy.data.training_stream import StreamLoader
from mednoisy.engines import checkpoint
from mednoisy.engines.distributed import rank_and_ranks
from mednoisy.engines.patch_limits import bf16_is_safe, check_patch, coarsest_map
from mednoisy.engines.progress_log import Progress
from mednoisy.engines.resuming import restore
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stage_batches import StageBatches
from mednoisy.engines.stages import PlannedStage, Stage, plan_of
from mednoisy.engines.stop_signals import StopSignals, stopped
from mednoisy.engines.student_optimisers import StudentOptimisers, memory_format, to_format
from mednoisy.errors import DONE_IN_PART, REFUSED, UserError, check_whole
from mednoisy.methods.method import Method, Step

LOGGER = logging.getLogger("mednoisy")
BAD_STEPS = 3  # steps in a row with a gradient that is not finite, after which a run stops


class SemiSupervisedTrainer(Trainer):
    """Trains the students of one or more stages; a run that is interrupted goes on bit for bit.

    A MONAI `Trainer`: Ignite's events fire as in any other, `max_epochs` scales all stages.

    Args:
        device: where networks and batches are.
        max_epochs, epoch_length: their product, less `trim`, is the number of steps of the run, split
            over the stages in the ratio of their shares.
        train_data_loader: gives the batches of a stage by step number.
        stages: what is learned, in order.
        run_folder: where the run is kept.
        train_handlers: MONAI or Ignite handlers; `ValidateStages` among them chooses checkpoints.
        trim: steps by which the last epoch is shorter.
        precision: `fp32` or `bf16` (autocast; falls back to fp32 where a CPU would give NaN gradients).
        channels_last: memory format of networks and images; pays on CPUs with bf16, see docs.
        save_interval: steps between two writings of `last.pt` (validations and ends of stages write it too).
        log_interval: steps between two rows of `progress.csv`.
        seed: dropout and the methods' draws come from (seed, stage, step, rank).
        datalist: of the run; needed where a stage has a round of pseudo-labels.

    Raises:
        UserError: from `run`: too few steps or cases, a patch that the networks cannot halve, what
            `RunFolder.open`, `checkpoint.load` and `PseudoLabels` refuse; E330, three steps in a row with NaN or
            infinite losses or gradients; E331, stopped by SIGTERM or SIGINT (after saving); E320, a full disk.
    """

    def __init__(
        self,
        device: torch.device | str,
        max_epochs: int,
        epoch_length: int,
        train_data_loader: StreamLoader,
        stages: Sequence[Stage],
        run_folder: RunFolder,
        train_handlers: Sequence | None = None,
        trim: int = 0,
        precision: str = "fp32",
        channels_last: bool = False,
        save_interval: int = 500,
        log_interval: int = 10,
        seed: int = 0,
        datalist: Datalist | None = None,
    ):
        if precision not in ("fp32", "bf16"):
            raise UserError("E111", f"precision {precision!r} is unknown", "Use fp32 or bf16")
        check_whole("steps", max_epochs * epoch_length - trim, least=0)
        for name, value in (("save_interval", save_interval), ("log_interval", log_interval)):
            check_whole(name, value, least=1)
        self.loader, self.stages, self.run_folder = train_data_loader, list(stages), run_folder
        self.trim, self.precision, self.channels_last = trim, precision, channels_last
        self.save_interval, self.seed, self.datalist = save_interval, seed, datalist
        self.rank, self.ranks = rank_and_ranks()
        self.progress = Progress(run_folder.path if self.rank == 0 else None, log_interval)
        self.method: Method
        self.updates: StudentOptimisers
        self.current: PlannedStage
        self.best: dict[str, float] = {}  # of the current stage: what `ValidateStages` keeps
        self.save_wanted = False  # set by handlers: write `last.pt` at the end of this step
        self.bad_steps = 0
        self._signals = StopSignals()
        self._stop_agreed = 0  # a signal that all ranks know of
        if torch.device(device).type == "cuda" and torch.device(device).index is not None:
            torch.cuda.set_device(device)  # collectives of Python objects use the current device
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=StageBatches(self),
            epoch_length=epoch_length,
            handlers=train_handlers,
            decollate=False,
        )
        self.add_event_handler(Events.GET_BATCH_STARTED, self.progress.start_waiting)
        self.add_event_handler(Events.GET_BATCH_COMPLETED, self.progress.stop_waiting)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._end_of_step)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.state.max_epochs * self.state.epoch_length - self.trim

    @property
    def plan(self) -> list[PlannedStage]:
        """The stages with their first steps and lengths."""
        return plan_of(self.stages, self.total_steps)

    def run(self) -> None:  # type: ignore[override]
        """Train to the end, or go on from `last.pt` where the run folder is to be resumed."""
        self._check_cases()
        self.run_folder.open()
        try:
            last = self.run_folder.checkpoints / "last.pt"
            if self.run_folder.resume and last.is_file():
                restore(self, checkpoint.load(last, self.state.device))
            else:
                self.enter(self.plan[0])
            LOGGER.info(self.loader.stream.summary)
            stages = ", ".join(f"{planned.stage.name} {planned.steps}" for planned in self.plan)
            LOGGER.info("step %d of %d (%s)", self.state.iteration, self.total_steps, stages)
            if self.state.iteration < self.total_steps:
                self._train()
        except UserError as fault:
            if not (fault.exit_code == REFUSED and self.run_folder.discard()):
                LOGGER.error("%s", fault, exc_info=fault.__cause__)
            raise
        except Exception:
            LOGGER.exception("the run failed at step %d", self.state.iteration)
            raise

    def _check_cases(self) -> None:
        """Refuse stages that lack cases, before anything is written, and before hours of an earlier stage."""
        rounds = [stage.pseudo for stage in self.stages if stage.pseudo is not None]
        if rounds:
            rounds[0].check(self.datalist, self.rank == 0 and not self.run_folder.resume)
        for stage in self.stages:
            labeled = stage.labeled if stage.pseudo is None else 0  # a round adds some
            self.loader.stream.check(labeled * self.ranks, stage.unlabeled * self.ranks)

    def _train(self) -> None:
        with self._signals:
            try:
                self.progress.start(self.state.iteration, self.total_steps, self.run_folder.path.name)
                super().run()
                if self._signals.received:  # it came after the last look, everything is saved
                    raise stopped(self._signals.received, self.state.iteration)
            finally:
                self.progress.close()

    def autocast(self) -> Any:
        """The context in which networks run."""
        if not self._low_precision:
            return nullcontext()
        return torch.autocast(self.state.device.type, dtype=torch.bfloat16)

    # One step

    def _iteration(self, engine: Trainer, batchdata: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        number = engine.state.iteration - 1
        stage, step = self.current.stage, number - self.current.first
        draw = Draw(self.seed, f"{stage.name}/method/{self.rank}", step)
        torch.manual_seed(draw.key("torch", bits=56))
        now = Step(step, self.current.steps, draw)
        batch = batchdata.to(engine.state.device, memory_format(batchdata.labeled.ndim, self.channels_last))
        self.updates.set_rates(stage.schedule(step, self.current.steps))
        self.updates.remember_buffers()
        with self.autocast():
            losses = self._wrapped(batch, now)
        totals = {name: terms.total() for name, terms in losses.items()}
        self.updates.backward(totals)
        if self._all_finite(totals, batch):
            self.updates.apply(totals)
            self.method.after_update(now)
        else:
            self.updates.restore_buffers()
        self.progress.record(number + 1, stage.name, self.updates.learning_rate, losses)
        engine.state.output = {"loss": torch.stack([total.detach() for total in totals.values()]).sum()}
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def _all_finite(self, totals: dict[str, Tensor], batch: Batch) -> bool:
        """Whether all losses and gradients are finite, on all ranks; there too, whether a signal came."""
        bad_here = self.updates.any_not_finite(totals)
        flags = torch.stack([bad_here, bad_here.new_tensor(float(self._signals.received))])
        if self.ranks > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        bad, stop = flags.tolist()  # the one host read of a step
        self._stop_agreed = int(stop)
        self.bad_steps = self.bad_steps + 1 if bad else 0
        if not bad:
            return True
        step, ids = self.state.iteration, ", ".join(batch.labeled_ids + batch.unlabeled_ids)
        LOGGER.warning("step %d skipped: a loss or gradient is NaN or infinite; cases %s", step, ids)
        if self.bad_steps >= BAD_STEPS:
            raise UserError(
                "E330",
                f"{BAD_STEPS} steps in a row gave NaN or infinite losses or gradients, the last was {step} on {ids}",
                "Train again in fp32 or at a lower learning rate; what was saved before is kept",
                exit_code=DONE_IN_PART,
            )
        return False

    def _end_of_step(self) -> None:
        step = self.state.iteration
        ends = step == self.current.last
        if ends:
            self.progress.flush(step, self.current.stage.name, self.updates.learning_rate)
        if ends or self.save_wanted or self._stop_agreed or step % self.save_interval == 0:
            self.save()
        if self._stop_agreed:
            raise stopped(self._stop_agreed, step)
        if step >= self.total_steps:
            self.terminate()

    def stop_if_asked(self) -> None:
        """Save and leave, between two steps, if a signal came (which may have ended the loader's workers as well)."""
        if self._signals.received and self.ranks == 1:
            self.save()
            raise stopped(self._signals.received, self.state.iteration)

    def stop_if_told(self) -> None:
        """Leave between two stages if a signal came to any process; to be called equally often by all of them.

        Nothing is saved: the stage before has been.
        """
        told = torch.tensor(self._signals.received, device=self.state.device)
        if self.ranks > 1:
            dist.all_reduce(told, op=dist.ReduceOp.MAX)
        if number := int(told):
            raise stopped(number, self.state.iteration)

    def enter(self, planned: PlannedStage) -> None:
        """Make the method and the optimisers of a stage."""
        self.method = planned.stage.method()
        patch = self.loader.stream.patch_size
        check_patch(patch, self.method)
        self.method.to(self.state.device)
        to_format(self.method, 2 + len(patch), self.channels_last)
        self.method.train()
        self.updates = StudentOptimisers(self.method, planned.stage.optimiser)
        self.current, self.best = planned, {}
        self._low_precision = self.precision == "bf16"
        coarsest = coarsest_map(patch, self.method)
        if self._low_precision and not bf16_is_safe(self.state.device.type, coarsest):
            LOGGER.warning("bf16 is unsafe on a CPU for feature maps of %s voxels: training in fp32", coarsest)
            self._low_precision = False
        self._wrapped: nn.Module = self.method
        if self.ranks > 1:
            on = None if self.state.device.type == "cpu" else [self.state.device]
            self._wrapped = DistributedDataParallel(self.method, device_ids=on)

    # State

    def snapshot(self) -> dict:
        """All that is needed to go on: plain values and tensors."""
        return {
            "step": self.state.iteration,
            "stage": self.current.stage.name,
            "method": self.method.state_dict(),
            "optimisers": self.updates.state_dict(),
            "best": self.best,
            "bad_steps": self.bad_steps,
            **self.progress.snapshot(),
            "world": self.ranks,
        }

    def save(self) -> None:
        """Write `progress.csv` and, after it, `last.pt`: rows past a checkpoint are dropped on resuming."""
        self.save_wanted = False
        if self.rank == 0:
            self.progress.write()
            checkpoint.save(self.run_folder.checkpoints / "last.pt", self.snapshot())
