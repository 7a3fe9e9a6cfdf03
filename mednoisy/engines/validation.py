"""Choosing checkpoints: one pass over the validation cases scores all predictors together."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch.distributed as dist
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.handlers import ValidationHandler
from monai.networks.utils import eval_mode
from monai.utils import ForwardMode
from torch import nn

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import without_ignored
from mednoisy.engines.distributed import rank_and_ranks
from mednoisy.engines.training_state import training_of
from mednoisy.errors import check_whole
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.evaluation.undefined_values import mean_of_defined
from mednoisy.inference.sliding_window import SlidingWindow, decide

LOGGER = logging.getLogger("mednoisy")
SECTIONS = ("validation", "test", "unlabeled")


class Validator(Evaluator):
    """Mean Dice of every predictor on the preprocessed grid, where references are not `IGNORED`.

    Args:
        device: where the networks are.
        dataset: validation cases, of no other section; they choose the honest checkpoint. May be empty.
        inferer: a sliding window, at a coarse stride.
        num_classes: with background.
        test: test cases, scored too where the published way of choosing is wanted (it chooses on them).
        monitored: a few unlabeled cases with their hidden reference, for the Dice of the pseudo-labels.
        val_handlers: MONAI or Ignite handlers.
    """

    def __init__(
        self,
        device: Any,
        dataset: CachedCases,
        inferer: SlidingWindow,
        num_classes: int,
        test: CachedCases | None = None,
        monitored: CachedCases | None = None,
        val_handlers: Sequence | None = None,
    ):
        of_sections: list[Any] = [dataset, test or (), monitored or ()]
        rank, self.ranks = rank_and_ranks()
        cases = [(section, case) for section, of in zip(SECTIONS, of_sections, strict=True) for case in of]
        self.inferer, self.num_classes = inferer, num_classes
        self.predictors: dict[str, nn.Module] = {}
        self.autocast: Any = nullcontext()
        self.sections: Sequence[str] = SECTIONS
        super().__init__(
            device=device,
            val_data_loader=cases[rank :: self.ranks],
            epoch_length=len(cases[rank :: self.ranks]),
            val_handlers=val_handlers,
            mode=ForwardMode.EVAL,
            decollate=False,
        )

    def scores(
        self, predictors: dict[str, nn.Module], autocast: Any, sections: Sequence[str] = SECTIONS
    ) -> dict[str, dict[str, float]]:
        """Mean Dice over cases and foreground classes: section -> predictor -> value in [0, 1].

        NaN where it is undefined on every case. Sections without cases are left out; of unlabeled cases the
        teacher's prediction is scored, or the first predictor's where there is no teacher.
        """
        self.predictors, self.autocast, self.sections = predictors, autocast, sections
        self._dice: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        if self.state.epoch_length:
            with eval_mode(*predictors.values()):
                self.run()
        of_ranks: list[Any] = [self._dice]
        if self.ranks > 1:
            of_ranks = [None] * self.ranks
            dist.all_gather_object(of_ranks, {section: dict(of) for section, of in self._dice.items()})
        merged: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for of_rank in of_ranks:
            for section, of_names in of_rank.items():
                for name, values in of_names.items():
                    merged[section][name] += values
        return {
            section: {name: float(mean_of_defined(values)) for name, values in of_names.items()}
            for section, of_names in merged.items()
        }

    def _iteration(self, engine: Engine, batchdata: tuple[str, dict]) -> dict:  # type: ignore[override]
        section, case = batchdata
        if section not in self.sections:
            return {}
        wanted = self.predictors
        if section == "unlabeled":
            wanted = {name: predictor for name, predictor in wanted.items() if name == "teacher"} or {
                name: wanted[name] for name in list(wanted)[:1]
            }
        image = case["image"][None].to(self.state.device)
        with self.autocast:
            scores = self.inferer.scores_of_all(image, wanted)
        reference = case["label"].numpy()
        for name, score in scores.items():
            prediction = without_ignored(decide(score)[0].cpu().numpy(), reference)
            self._dice[section][name] += dice_by_class(prediction, reference, range(1, self.num_classes))
        return {}


class ValidateStages(ValidationHandler):
    """Validates every `interval` steps of a stage and at its end, and keeps the best checkpoints.

    `best_<stage>.pt` is best for the deployed predictor, the first of `Method.predictors()`, on the
    validation section; the last stage's is `best_honest.pt`. With test cases in the validator,
    `best_published_<predictor>.pt` is each predictor's best on them, as the reference code chooses. Of a pretext,
    which has no predictor, nothing is validated or chosen.

    Args:
        validator: scores the predictors.
        interval: steps between two validations.
    """

    def __init__(self, validator: Validator, interval: int):
        check_whole("val_interval", interval, least=1)
        super().__init__(interval=interval, validator=validator, epoch_level=False)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        assert isinstance(self.validator, Validator)
        training = training_of(engine)
        step, planned = training.step, training.current
        if (step - planned.first) % self.interval and step != planned.last:
            return
        stage, predictors = planned.stage.name, training.method.predictors()
        if not predictors:  # a pretext: its last step is handed over
            return
        sections = SECTIONS if training.in_last_stage else ("validation", "unlabeled")
        scores = self.validator.scores(predictors, training.autocast(), sections)
        figures = {f"val_dice_{name}": value for name, value in scores.get("validation", {}).items()}
        figures |= {f"pseudo_label_dice_{name}": value for name, value in scores.get("unlabeled", {}).items()}
        training.progress.flush(step, stage, training.optimisers.learning_rate)
        if figures:
            training.progress.add(step, stage, figures)
            LOGGER.info("step %d: %s", step, ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
        deployed = next(iter(predictors))
        best = "best_honest" if training.in_last_stage else f"best_{stage}"
        training.keep_best(best, scores.get("validation", {}).get(deployed, math.nan))
        if training.in_last_stage:
            for predictor, value in scores.get("test", {}).items():
                training.keep_best(f"best_published_{predictor}", value)
        training.save_wanted = True
