"""The batches of a whole run as one iterator, for Ignite; a stage begins when its first batch is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from mednoisy.data.batch import Batch
from mednoisy.data.datalist import Datalist
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.engines.noisy_student_rounds import pseudo_labeled, with_pseudo_labeled
from mednoisy.engines.pretext_stages import images_for
from mednoisy.engines.stages import PlannedStage
from mednoisy.engines.stop_signals import StopSignals, stopped
from mednoisy.engines.training_state import TrainingState

LOGGER = logging.getLogger("mednoisy")


class StageBatches:
    """Batches from the present step to the end of the run.

    Args:
        training: entered at a stage when the first batch is asked for.
        loader: gives the batches of a stage by step number.
        signals: a signal ends the loader's workers too.
        datalist: of the run, for rounds.
    """

    def __init__(
        self, training: TrainingState, loader: StreamLoader, signals: StopSignals, datalist: Datalist | None = None
    ):
        self.training, self.loader, self.signals, self.datalist = training, loader, signals, datalist

    def __iter__(self) -> Iterator[Batch]:
        training, done = self.training, self.training.step
        for planned in training.plan:
            stage, steps = planned.stage, range(max(0, done - planned.first), planned.steps)
            if not steps:
                continue
            loader = self._begin(planned)
            crops = (0, stage.images) if stage.images else (stage.labeled, stage.unlabeled)
            try:
                yield from loader.steps(stage.name, steps, *crops, training.rank, training.ranks)
            except RuntimeError:  # of the loader
                self._stop_if_asked()
                raise

    def _begin(self, planned: PlannedStage) -> StreamLoader:
        """The loader of a stage, after all that comes before its next step: hand-over, a round's pseudo-labels."""
        training, stage, loader = self.training, planned.stage, self.loader
        begins = stage.name != training.current.stage.name  # else it is the first, or resumed within
        step, moments = training.hand_over() if begins else (None, None)
        if stage.pseudo is not None:
            cases = pseudo_labeled(training, planned, step, self.datalist, self.signals)
            loader = with_pseudo_labeled(loader, cases, stage.pseudo.ratio)
            loader.stream.check(stage.labeled * training.ranks, stage.unlabeled * training.ranks)
        if begins:  # after the round, whose teacher is the method of the stage before
            training.enter(planned, moments)
            LOGGER.info("stage %s begins: %d steps", stage.name, planned.steps)
        if stage.images:
            loader, _ = images_for(loader, training.method)
        training.progress.start_waiting()
        return loader

    def _stop_if_asked(self) -> None:
        """Save and leave, between two steps, if a signal came, which may have ended the loader's workers as well."""
        if self.signals.received and self.training.ranks == 1:
            self.training.save()
            raise stopped(self.signals.received, self.training.step)
