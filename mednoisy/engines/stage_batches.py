"""The batches of a whole run as one iterator, for Ignite; a stage begins when its first batch is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mednoisy.data.batch import Batch
from mednoisy.data.training_stream import StreamLoader
from mednoisy.engines.resuming import handed_over
from mednoisy.engines.stages import PlannedStage

if TYPE_CHECKING:
    from mednoisy.engines.trainer import SemiSupervisedTrainer

LOGGER = logging.getLogger("mednoisy")


class StageBatches:
    """Batches from the trainer's present step to the end of the run."""

    def __init__(self, trainer: SemiSupervisedTrainer):
        self.trainer = trainer

    def __iter__(self) -> Iterator[Batch]:
        trainer, done = self.trainer, self.trainer.state.iteration
        for planned in trainer.plan:
            stage, steps = planned.stage, range(max(0, done - planned.first), planned.steps)
            if not steps:
                continue
            loader = self._begun(planned)
            try:
                yield from loader.steps(stage.name, steps, stage.labeled, stage.unlabeled, trainer.rank, trainer.ranks)
            except RuntimeError:  # of the loader
                trainer.stop_if_asked()
                raise

    def _begun(self, planned: PlannedStage) -> StreamLoader:
        """The loader of a stage, after all that comes before its next step: hand-over, a round's pseudo-labels."""
        trainer, stage = self.trainer, planned.stage
        begins = stage.name != trainer.current.stage.name  # else it is the first, or resumed within
        step, moments = handed_over(trainer) if begins else (0, {})
        loader = trainer.loader
        if stage.pseudo is not None:
            loader = stage.pseudo.extended(trainer, planned, step if begins else None)
            loader.stream.check(stage.labeled * trainer.ranks, stage.unlabeled * trainer.ranks)
        if begins:  # after the round, whose teacher is the method of the stage before
            trainer.enter(planned)
            if stage.carry_optimisers:
                trainer.updates.load_moments(moments)
            LOGGER.info("stage %s begins: %d steps", stage.name, planned.steps)
        trainer.progress.start_waiting()
        return loader
