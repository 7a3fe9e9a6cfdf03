"""The engine: runs a method's steps, one backward per student, through all stages of a run."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mednoisy.data.batch import Batch
from mednoisy.data.draws import Draw
from mednoisy.data.stream import StreamLoader
from mednoisy.engines import checkpoint
from mednoisy.engines.progress import Progress
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stages import Stage, split_steps
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.methods.method import Method, Step, Terms

LOGGER = logging.getLogger("mednoisy")
BAD_STEPS = 3  # steps in a row with a gradient that is not finite, after which a run stops
SMALLEST_BF16_MAP = 27  # voxels; below, bf16 3D convolutions on a CPU give NaN gradients now and then


@dataclass(frozen=True)
class Planned:
    """A stage with its place in the run: global steps `first` to `first + steps`."""

    stage: Stage
    first: int
    steps: int

    @property
    def last(self) -> int:
        return self.first + self.steps


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
        save_interval: steps between two writings of `last.pt` (each validation writes it too).
        log_interval: steps between two rows of `progress.csv`.
        seed: dropout and the methods' draws come from (seed, stage, step, rank).

    Raises:
        UserError: from `run`, see `RunFolder.open`, `TrainingStream.check`, `checkpoint.load`; three steps
            in a row with NaN or infinite gradients; stopped by a signal (after saving).
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
    ):
        if precision not in ("fp32", "bf16"):
            raise UserError("E111", f"precision {precision!r} is unknown", "Use fp32 or bf16")
        self.loader, self.stages, self.run_folder = train_data_loader, list(stages), run_folder
        self.trim, self.precision, self.channels_last = trim, precision, channels_last
        self.save_interval, self.seed = save_interval, seed
        self.rank, self.ranks = _rank_and_ranks()
        self.progress = Progress(run_folder.path if self.rank == 0 else None, log_interval)
        self.method: Method
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.current: Planned | None = None
        self.best: dict[str, Any] = {}  # of the current stage: what `ValidateStages` keeps
        self._bad_steps = 0
        self._stop_signal = self._stop_agreed = 0  # the latter is the same on all ranks
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=_Feed(self),
            epoch_length=epoch_length,
            handlers=train_handlers,
            decollate=False,
        )
        self.add_event_handler(Events.GET_BATCH_STARTED, self._start_waiting)
        self.add_event_handler(Events.GET_BATCH_COMPLETED, self._stop_waiting)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._end_of_step)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.state.max_epochs * self.state.epoch_length - self.trim

    @property
    def plan(self) -> list[Planned]:
        """The stages with their first steps and lengths."""
        steps = split_steps(self.total_steps, [stage.share for stage in self.stages])
        return [
            Planned(stage, sum(steps[:i]), count) for i, (stage, count) in enumerate(zip(self.stages, steps, strict=True))
        ]

    def run(self) -> None:
        """Train to the end, or go on from `last.pt` where the run folder is to be resumed."""
        self.run_folder.open()
        last = self.run_folder.checkpoints / "last.pt"
        if self.run_folder.resume and last.is_file():
            self._restore(checkpoint.load(last, self.state.device))
        done = self.state.iteration
        self.progress.start(done, self.total_steps, self.run_folder.path.name)
        LOGGER.info("steps %d to %d of %s", done, self.total_steps, [(p.stage.name, p.steps) for p in self.plan])
        if done >= self.total_steps:
            self.progress.close()
            return
        handlers = _on_signals(self._note_signal)
        try:
            super().run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.progress.close()

    def autocast(self) -> Any:
        """The context in which networks run."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.state.device.type, dtype=torch.bfloat16)

    # One step

    def _iteration(self, engine: Trainer, batchdata: Batch) -> dict[str, Tensor]:
        number = engine.state.iteration - 1
        if self.current is None or number >= self.current.last:
            self._begin(next(planned for planned in self.plan if planned.first <= number < planned.last))
        assert self.current is not None
        stage, step = self.current.stage, number - self.current.first
        draw = Draw(self.seed, f"{stage.name}/method/{self.rank}", step)
        torch.manual_seed(draw.key("torch", bits=56))
        now = Step(step, self.current.steps, draw)
        batch = batchdata.to(engine.state.device, self._memory_format(batchdata.labeled.ndim))
        with self.autocast():
            losses = self._wrapped(batch, now)
        factor = stage.schedule(step, self.current.steps)
        if self._update(losses, factor, batch):
            self.method.after_update(now)
        self.progress.record(number + 1, stage.name, self._learning_rate(), losses)
        engine.state.output = {"loss": torch.stack([terms.total().detach() for terms in losses.values()]).sum()}
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def _update(self, losses: dict[str, Terms], factor: float, batch: Batch) -> bool:
        """Backward and optimiser step of every student; False, and nothing changed, where one is not finite."""
        gradients: list[Tensor] = []
        for name, terms in losses.items():
            parameters = [p for p in self.method.students[name].parameters() if p.requires_grad]
            for parameter in parameters:
                parameter.grad = None
            terms.total().backward(inputs=parameters)
            gradients += [p.grad for p in parameters if p.grad is not None]
        if not self._all_finite(gradients, batch):
            return False
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
            if name in losses:
                optimiser.step()
        return True

    def _all_finite(self, gradients: list[Tensor], batch: Batch) -> bool:
        norms = torch.stack(torch._foreach_norm(gradients))
        flags = torch.stack([(~torch.isfinite(norms).all()).float(), norms.new_tensor(float(self._stop_signal))])
        if self.ranks > 1:  # gradients agree over ranks, signals may not
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        bad, stop = flags.tolist()  # the one host read of a step
        self._stop_agreed = int(stop)
        self._bad_steps = self._bad_steps + 1 if bad else 0
        if bad:
            ids = batch.labeled_ids + batch.unlabeled_ids
            LOGGER.warning("step %d skipped: a gradient is not finite; cases %s", self.state.iteration, ", ".join(ids))
        if self._bad_steps >= BAD_STEPS:
            raise UserError(
                "E330",
                f"{BAD_STEPS} steps in a row gave NaN or infinite gradients, the last at step {self.state.iteration} "
                f"on {', '.join(batch.labeled_ids + batch.unlabeled_ids)}",
                "Lower the learning rate or use fp32; the last good checkpoint is checkpoints/last.pt",
                exit_code=DONE_IN_PART,
            )
        return not bad

    def _end_of_step(self) -> None:
        step = self.state.iteration
        if step % self.save_interval == 0 or (self.current and step == self.current.last) or self._stop_agreed:
            self.save()
        if self._stop_agreed:
            raise UserError(
                "E331",
                f"stopped by {signal.Signals(self._stop_agreed).name} after step {step}, which is saved",
                "Go on with --resume",
                exit_code=DONE_IN_PART,
            )
        if step >= self.total_steps:
            self.terminate()

    # Stages

    def _begin(self, planned: Planned) -> None:
        """Make the method of a stage from the networks that the stage before hands over."""
        carried = self._handed_over() if self.current is not None else {}
        self._enter(planned)
        if planned.stage.carry_optimisers:
            for name, state in carried.items():
                if name in self.optimisers:
                    rates = [group["initial_lr"] for group in self.optimisers[name].param_groups]
                    self.optimisers[name].load_state_dict(state)
                    for group, rate in zip(self.optimisers[name].param_groups, rates, strict=True):
                        group["initial_lr"] = rate
        LOGGER.info("stage %s begins: %d steps", planned.stage.name, planned.steps)

    def _enter(self, planned: Planned) -> None:
        self.method = planned.stage.method()
        self.method.to(self.state.device)
        self.method.to(memory_format=self._memory_format(2 + len(self.loader.stream.patch_size)))
        self.method.train()
        self.optimisers = {
            name: _fused(planned.stage.optimiser, [p for p in student.parameters() if p.requires_grad])
            for name, student in self.method.students.items()
        }
        self.current, self.best = planned, {}
        self.precision = self._safe_precision()
        self._wrapped: nn.Module = self.method
        if self.ranks > 1:
            on = None if self.state.device.type == "cpu" else [self.state.device]
            self._wrapped = DistributedDataParallel(self.method, device_ids=on)

    def _handed_over(self) -> dict[str, dict]:
        """Put the best students of the finished stage into the shared networks; their optimisers' states."""
        assert self.current is not None
        states = {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}
        if self.ranks > 1:
            dist.barrier()
        path = self.run_folder.checkpoints / f"best_{self.current.stage.name}.pt"
        if path.is_file():
            content = checkpoint.load(path, self.state.device)
            self.method.load_state_dict(content["method"])
            states = content["optimisers"]
            LOGGER.info("stage %s hands over step %d, its best", self.current.stage.name, content["step"])
        return states

    # State

    def snapshot(self) -> dict:
        """All that is needed to go on: plain values and tensors."""
        assert self.current is not None
        return {
            "step": self.state.iteration,
            "stage": self.current.stage.name,
            "method": self.method.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "best": self.best,
            "bad_steps": self._bad_steps,
            "seconds": self.progress.seconds,
            "world": self.ranks,
        }

    def save(self) -> None:
        """Write `last.pt` and `progress.csv`."""
        self.progress.flush(self.state.iteration, self.current.stage.name, self._learning_rate())
        if self.rank == 0:
            checkpoint.save(self.run_folder.checkpoints / "last.pt", self.snapshot())
            self.progress.write()

    def _restore(self, content: dict) -> None:
        if content["world"] != self.ranks:
            raise UserError(
                "E316", f"the run was on {content['world']} processes, this is on {self.ranks}", "Use as many as before"
            )
        self._enter(next(planned for planned in self.plan if planned.stage.name == content["stage"]))
        self.method.load_state_dict(content["method"])
        for name, state in content["optimisers"].items():
            self.optimisers[name].load_state_dict(state)
        self.best, self._bad_steps = content["best"], content["bad_steps"]
        self.state.iteration = content["step"]
        self.state.epoch = content["step"] // self.state.epoch_length

    # Helpers

    def _memory_format(self, dimensions: int) -> torch.memory_format:
        if not self.channels_last:
            return torch.contiguous_format
        return torch.channels_last_3d if dimensions == 5 else torch.channels_last

    def _safe_precision(self) -> str:
        if self.precision == "bf16" and self.state.device.type == "cpu" and len(self.loader.stream.patch_size) == 3:
            divisor = max(getattr(student, "divisor", 1) for student in self.method.students.values())
            smallest = [-(-side // divisor) for side in self.loader.stream.patch_size]
            if torch.tensor(smallest).prod() < SMALLEST_BF16_MAP:
                LOGGER.warning("bf16 is unsafe on a CPU for feature maps of %s voxels: training in fp32", smallest)
                return "fp32"
        return self.precision

    def _learning_rate(self) -> float:
        return next(iter(self.optimisers.values())).param_groups[0]["lr"]

    def _note_signal(self, number: int, frame: object) -> None:
        self._stop_signal = number

    def _start_waiting(self) -> None:
        self._waiting_since = time.perf_counter()

    def _stop_waiting(self) -> None:
        self.progress.waited(time.perf_counter() - self._waiting_since)


class _Feed:
    """Batches from the trainer's present step to the end of the run."""

    def __init__(self, trainer: SemiSupervisedTrainer):
        self.trainer = trainer

    def __iter__(self) -> Iterator[Batch]:
        trainer, done = self.trainer, self.trainer.state.iteration
        for planned in trainer.plan:
            steps = range(max(0, done - planned.first), planned.steps)
            if len(steps):
                yield from trainer.loader.steps(
                    planned.stage.name, steps, planned.stage.labeled, planned.stage.unlabeled, trainer.rank, trainer.ranks
                )


def _fused(make: Any, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    optimiser = make(parameters)
    if "fused" in optimiser.defaults and optimiser.defaults.get("fused") is None and not optimiser.defaults.get("foreach"):
        optimiser = make(parameters, fused=True)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser


def _rank_and_ranks() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _on_signals(handler: Any) -> dict[int, Any]:
    """Handle SIGTERM and SIGINT by `handler`; what handled them before (nothing outside the main thread)."""
    try:
        return {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # signals belong to the main thread alone
        return {}
