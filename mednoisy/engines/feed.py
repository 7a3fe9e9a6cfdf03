"""The batches of a whole run as one iterator, for Ignite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mednoisy.data.batch import Batch

if TYPE_CHECKING:
    from mednoisy.engines.trainer import SemiSupervisedTrainer


class Feed:
    """Batches from the trainer's present step to the end of the run."""

    def __init__(self, trainer: SemiSupervisedTrainer):
        self.trainer = trainer

    def __iter__(self) -> Iterator[Batch]:
        trainer, done = self.trainer, self.trainer.state.iteration
        for planned in trainer.plan:
            stage, steps = planned.stage, range(max(0, done - planned.first), planned.steps)
            if not steps:
                continue
            try:
                yield from trainer.loader.steps(
                    stage.name, steps, stage.labeled, stage.unlabeled, trainer.rank, trainer.ranks
                )
            except RuntimeError:  # of the loader
                trainer.stop_if_asked()
                raise
