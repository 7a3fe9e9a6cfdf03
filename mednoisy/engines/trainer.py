"""The engine: runs a method's steps, one backward per student, through all stages of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import Tensor

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Datalist
from mednoisy.data.label_presence import absent_labels, check_looked_at
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_data import TrainingData, facts_of, mixed_orientations
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.engines.determinism import only_deterministic
from mednoisy.engines.disk_full import writing
from mednoisy.engines.distributed import lost_process, rank_and_ranks
from mednoisy.engines.kept_labels import check_labels
from mednoisy.engines.noisy_student_rounds import check_round
from mednoisy.engines.pretext_reports import checked_images, show_examples, tell_remark
from mednoisy.engines.progress_log import Progress
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stage_batches import StageBatches
from mednoisy.engines.stages import Stage, check_stages
from mednoisy.engines.stop_signals import StopSignals, stopped
from mednoisy.engines.training_state import TrainingState
from mednoisy.errors import DONE_IN_PART, REFUSED, UserError, check_whole
from mednoisy.kept_memory import kept_memory
from mednoisy.methods.method import Step
from mednoisy.notices import tell

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
        compiled: whether steps run through `torch.compile` (True, or one of its modes), see docs; the first steps then
            take a minute or more.
        deterministic: whether only algorithms that give the same bits each time run on a GPU.
        save_interval: steps between two writings of `last.pt` (validations and ends of stages write it too).
        log_interval: steps between two rows of `progress.csv`.
        seed: dropout and the methods' draws come from (seed, stage, step, rank).
        datalist: of the run; needed where a stage has a round of pseudo-labels.

    Attributes:
        training: what the run has come to; handlers find it here (`training_of`).

    Raises:
        UserError: from `run`: too few steps or cases, what `TrainingState`, `RunFolder.open`, `checkpoint.load`,
            `check_round` and `pseudo_labeled` refuse; E330, three steps in a row with NaN or infinite losses or
            gradients; E331, stopped by SIGTERM or SIGINT (after saving); E320, a full disk; E376,
            another process of the run has died.
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
        compiled: bool | str = False,
        deterministic: bool = True,
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
        self.loader, self.run_folder, self.datalist = train_data_loader, run_folder, datalist
        self.save_interval, self.seed = save_interval, seed
        main = rank_and_ranks()[0] == 0
        self.training = TrainingState(
            stages,
            total_steps=max_epochs * epoch_length - trim,
            patch_size=train_data_loader.stream.patch_size,
            device=device,
            run_folder=run_folder,
            progress=Progress(run_folder.path if main else None, log_interval),
            precision=precision,
            channels_last=channels_last,
            compiled=compiled,
        )
        self._signals = StopSignals()
        self._images: dict[str, TrainingStream] = {}  # of pretexts, by stage
        self._stop_agreed = 0  # a signal that all ranks know of
        if torch.device(device).type == "cuda" and deterministic:
            only_deterministic()
        if torch.device(device).type == "cuda" and torch.device(device).index is not None:
            torch.cuda.set_device(device)  # collectives of Python objects use the current device
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=StageBatches(self.training, train_data_loader, self._signals, datalist),
            epoch_length=epoch_length,
            handlers=train_handlers,
            decollate=False,
        )
        self.add_event_handler(Events.GET_BATCH_STARTED, self.training.progress.start_waiting)
        self.add_event_handler(Events.GET_BATCH_COMPLETED, self.training.progress.stop_waiting)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._end_of_step)

    def run(self) -> None:  # type: ignore[override]
        """Train to the end, or go on from `last.pt` where the run folder is to be resumed."""
        training = self.training
        self._check_cases()
        check_stages(self.training.stages)
        self.run_folder.open()
        try:
            learns_labels = any(not stage.images for stage in training.stages)
            if training.rank == 0:
                if learns_labels:
                    check_labels(self.run_folder.path, self.loader.stream.labeled.items)
                self._keep_training_data()
            last = (
                checkpoint.load_last(self.run_folder.checkpoints, training.device) if self.run_folder.resume else None
            )
            if last is not None:
                training.restore(last)
                self.state.iteration = training.step
                self.state.epoch = training.step // self.state.epoch_length
            else:
                training.enter(training.plan[0])
            LOGGER.info(self.loader.stream.summary)
            if self.datalist is not None and learns_labels:
                for line in absent_labels(self.loader.stream.labeled, self.datalist.labels):
                    tell(line)
            stages = ", ".join(f"{planned.stage.name} {planned.steps}" for planned in training.plan)
            LOGGER.info("step %d of %d (%s)", training.step, training.total_steps, stages)
            if training.step < training.total_steps:
                self._train()
        except UserError as fault:
            if not (fault.exit_code == REFUSED and self.run_folder.discard()):
                LOGGER.error("%s", fault, exc_info=fault.__cause__)
            raise
        except Exception as fault:
            LOGGER.exception("the run failed at step %d", self.state.iteration)
            if lost := lost_process(fault, training.step):
                raise lost from fault
            raise

    def _check_cases(self) -> None:
        """Refuse stages that lack cases, before anything is written, and before hours of an earlier stage."""
        check_looked_at(self.loader.stream.labeled)
        stages, ranks = self.training.stages, self.training.ranks
        rounds = [stage.pseudo for stage in stages if stage.pseudo is not None]
        if rounds:
            check_round(rounds[0], self.datalist, self.training.rank == 0 and not self.run_folder.resume)
        for stage in stages:
            labeled = stage.labeled if stage.pseudo is None else 0  # a round adds some
            self.loader.stream.check(labeled * ranks, stage.unlabeled * ranks)
            if stage.images:
                self._images[stage.name] = checked_images(self.loader, stage, ranks)

    def _keep_training_data(self) -> None:
        """Note in the run folder what the scans are that the run learns from."""
        stream = self.loader.stream
        items = [*stream.labeled.items, *(stream.unlabeled.items if stream.unlabeled is not None else ())]
        data = TrainingData.of(facts_of(items))
        if data is None:
            return
        with writing(self.run_folder.path):
            data.save(self.run_folder.path)
        if line := mixed_orientations(data):
            tell(line)

    def _train(self) -> None:
        training = self.training
        with self._signals, kept_memory() if training.device.type == "cpu" else nullcontext():
            try:
                training.progress.start(training.step, training.total_steps, self.run_folder.path.name)
                super().run()
                if self._signals.received:  # it came after the last look, everything is saved
                    raise stopped(self._signals.received, training.step)
            finally:
                training.progress.close()

    def _iteration(self, engine: Trainer, batchdata: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        training, optimisers = self.training, self.training.optimisers
        stage, steps, step = training.current.stage, training.current.steps, training.step - training.current.first
        draw = Draw(self.seed, f"{stage.name}/method/{training.rank}", step)
        torch.manual_seed(draw.key("torch", bits=56))
        now = Step(step, steps, draw)
        batch = self.loader.stream.augmented(batchdata.to(training.device)).to(training.device, training.image_format)
        optimisers.set_rates(stage.schedule(step, steps))
        optimisers.remember_buffers()
        optimisers.forget_gradients()
        with training.in_step():
            losses = training.wrapped(batch, now)
        totals = {name: terms.total() for name, terms in losses.items()}
        optimisers.backward(totals)
        if self._all_finite(totals, batch):
            optimisers.apply(totals)
            training.method.after_update(now)
        else:
            optimisers.restore_buffers()
        training.step = engine.state.iteration  # done
        training.progress.record(training.step, stage.name, optimisers.learning_rate, losses)
        engine.state.output = {"loss": torch.stack([total.detach() for total in totals.values()]).sum()}
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def _all_finite(self, totals: dict[str, Tensor], batch: Batch) -> bool:
        """Whether all losses and gradients are finite, on all ranks; there too, whether a signal came."""
        training = self.training
        bad_here = training.optimisers.any_not_finite(totals)
        flags = torch.stack([bad_here, torch.full_like(bad_here, self._signals.received)])
        if training.ranks > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        bad, stop = flags.tolist()  # the one host read of a step
        self._stop_agreed = int(stop)
        training.bad_steps = training.bad_steps + 1 if bad else 0
        if not bad:
            return True
        step, ids = self.state.iteration, ", ".join(batch.labeled_ids + batch.unlabeled_ids)
        LOGGER.warning("step %d skipped: a loss or gradient is NaN or infinite; cases %s", step, ids)
        if training.bad_steps >= BAD_STEPS:
            raise UserError(
                "E330",
                f"{BAD_STEPS} steps in a row gave NaN or infinite losses or gradients, the last was {step} on {ids}",
                "Train again in fp32 or at a lower learning rate; what was saved before is kept",
                exit_code=DONE_IN_PART,
            )
        return False

    def _end_of_step(self) -> None:
        training, step = self.training, self.training.step
        ends = step == training.current.last
        if ends:
            training.progress.flush(step, training.current.stage.name, training.optimisers.learning_rate)
        saves = step % self.save_interval == 0
        if (ends or saves) and training.current.stage.images:
            show_examples(training, self._images[training.current.stage.name], self.seed, ends=ends)
        tell_remark(training)
        if ends or training.save_wanted or self._stop_agreed or saves:
            training.save()
        if self._stop_agreed:
            raise stopped(self._stop_agreed, step)
        if step >= training.total_steps:
            self.terminate()
