"""How a run takes up its last checkpoint, and a stage the best of the one before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch.distributed as dist

from mednoisy.engines import checkpoint
from mednoisy.errors import UserError

if TYPE_CHECKING:
    from mednoisy.engines.trainer import SemiSupervisedTrainer

LOGGER = logging.getLogger("mednoisy")


def restore(trainer: SemiSupervisedTrainer, content: dict) -> None:
    """Go on where `trainer.snapshot` was taken: networks, optimisers, choices and progress.

    Raises:
        UserError: E316, the run was on another number of processes; E317, its networks are others.
    """
    if content["world"] != trainer.ranks:
        raise UserError(
            "E316", f"the run was on {content['world']} processes, this is on {trainer.ranks}", "Use as many as before"
        )
    try:
        trainer.enter(next(planned for planned in trainer.plan if planned.stage.name == content["stage"]))
        trainer.method.load_state_dict(content["method"])
        trainer.updates.load_moments(content["optimisers"])
    except (StopIteration, RuntimeError, KeyError, ValueError) as fault:
        raise UserError(
            "E317",
            f"{trainer.run_folder.checkpoints / 'last.pt'} does not fit the networks and optimisers of this run",
            "Resume with the configuration in config.yaml, or give another --output",
        ) from fault
    _drop_later_bests(trainer, content["step"])
    trainer.best, trainer.bad_steps = content["best"], content["bad_steps"]
    trainer.state.iteration = content["step"]
    trainer.state.epoch = content["step"] // trainer.state.epoch_length
    trainer.progress.restore(content["step"], content["seconds"], content["pending"])


def handed_over(trainer: SemiSupervisedTrainer) -> tuple[int, dict[str, dict]]:
    """Put the best students of the finished stage into the shared networks; their step and optimisers' states."""
    step, states = trainer.state.iteration, trainer.updates.state_dict()
    if trainer.ranks > 1:
        dist.barrier()
    path = trainer.run_folder.checkpoints / f"best_{trainer.current.stage.name}.pt"
    if path.is_file():
        content = checkpoint.load(path, trainer.state.device)
        trainer.method.load_state_dict(content["method"])
        step, states = content["step"], content["optimisers"]
        LOGGER.info("stage %s hands over step %d, its best", trainer.current.stage.name, step)
    return step, states


def _drop_later_bests(trainer: SemiSupervisedTrainer, step: int) -> None:
    """Remove the best of steps that will be done again: on a GPU they may come out otherwise."""
    if trainer.rank == 0:
        for path in trainer.run_folder.checkpoints.glob("best_*.pt"):
            if checkpoint.load(path)["step"] > step:
                path.unlink()
