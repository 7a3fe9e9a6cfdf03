"""What the network that serves predicts of an image, and where its students or folds disagree."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.data.images import case_name
from mednoisy.data.training_data import TrainingData
from mednoisy.errors import UserError
from mednoisy.inference.prediction import predict_case
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.scoring import expected_of
from mednoisy.monai_label.training import networks_of
from mednoisy.monai_label.workplace import Workplace
from mednoisy.runs.opened_run import OpenedRun, opened_run


@dataclass(frozen=True)
class Answer:
    """A prediction for a viewer.

    Attributes:
        labels: (*spatial), uint8 class codes on the image's grid.
        disagreement: (*spatial), bool, where students or folds choose different classes; None of a single network.
        affine: (4, 4).
        round: whose network it is.
        expected: by class the Dice to expect; empty where it is not known.
        remark: why it is not known, or else empty.
    """

    labels: np.ndarray
    disagreement: np.ndarray | None
    affine: np.ndarray
    round: int
    expected: Mapping[str, Any]
    remark: str


@dataclass
class Predictor:
    """Predicts with the network that serves, one image at a time; a new network is taken up at the next image."""

    place: Workplace
    _run: OpenedRun | None = field(default=None, init=False)
    _round: int | None = field(default=None, init=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def predict(self, image: Path, study: str | None, *, disagreement: bool = True) -> Answer:
        """Of an image; `study` is its id where it is one of the folder.

        Raises:
            UserError: E576, no network has been trained yet; E2xx, the image cannot be read; as `opened_run`.
        """
        with self._one_at_a_time:
            run, number = self._serving()
            assert run.deployed is not None  # a round's method predicts
            peers = {f"{kind} {name}": network for kind, networks in run.peers.items() if len(networks) > 1
                     for name, network in networks.items()} if disagreement else {}  # fmt: skip
            case = {"id": study or case_name(image), "image": str(image)}
            predicted = predict_case(
                case, {run.deployed: run.network, **peers}, run.preprocessing, run.inferer, run.device,
                trained_on=TrainingData.load(networks_of(run.folder)[0]),
            )  # fmt: skip
        opinions = [predicted.labels[name] for name in peers]
        differing = np.any([opinion != opinions[0] for opinion in opinions[1:]], axis=0) if opinions else None
        expected, remark = self._expected(number, study)
        return Answer(predicted.labels[run.deployed], differing, predicted.affine, number, expected, remark)

    def _serving(self) -> tuple[OpenedRun, int]:
        number = Deployed.read(self.place).round
        if number is None:
            cure = "Save labels and start a training; until then draw by hand"
            raise UserError("E576", "no network has been trained yet, so nothing can be predicted", cure)
        if self._run is None or self._round != number:
            settings = self.place.settings()
            run = opened_run(self.place.of_round(number) / "run", trust=settings.trust, device=settings.device)
            self._run, self._round = run, number
        return self._run, number

    def _expected(self, number: int, study: str | None) -> tuple[Mapping[str, Any], str]:
        """The Dice to expect of a study that had no label when the network was trained."""
        found = expected_of(self.place, str(number))
        known = found.get("studies", {}).get(study)
        if known is not None:
            return known, ""
        if not found:
            return {}, "The Dice to expect is being estimated."
        return {}, f"The Dice to expect is not known: {found.get('failed') or 'it is told of unlabeled studies alone'}."
