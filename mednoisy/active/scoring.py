"""What a network thinks of a case, as the numbers by which strategies choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.features import gradient_embedding_of_case, pooled_bottleneck
from mednoisy.active.members import Members
from mednoisy.active.uncertainty_maps import MAPS, POOLINGS, class_uncertainty
from mednoisy.errors import UserError, did_you_mean
from mednoisy.inference.sliding_window import SlidingWindow

DEFAULT_POOLING = "mean"
POOLING_REASONS = {
    "mean": "as published comparisons have it; a structure that was missed still counts, large ones count more",
    "top_share": "where doubt covers little of the image it ranks as the mean does, elsewhere size counts less",
    "over_foreground": "large and small structures weigh the same, one that was missed is not seen",
}
PICTURED = "entropy"  # for strategies without a map of their own


@dataclass(frozen=True)
class Scorer:
    """Scores cases by one network or several.

    Attributes:
        strategy: whose needs are computed.
        network: the deployed one, for features and gradients; of an ensemble its first member.
        members: whose probabilities are compared; None where a pretext has none to give.
        inferer: of the run.
        pooling: from the map of a case to its score, see `POOLING_REASONS`.
    """

    strategy: str
    network: nn.Module
    members: Members | None
    inferer: SlidingWindow
    pooling: str = DEFAULT_POOLING

    @property
    def map_name(self) -> str:
        """Of the map of uncertainty that the strategy ranks by, or else that is pictured."""
        return STRATEGIES[self.strategy].score or PICTURED

    @property
    def facts(self) -> dict[str, str]:
        """The options that change what is computed of a case."""
        facts = {"map": self.map_name, "pooling": self.pooling}
        if self.members is not None:
            facts["members"] = " ".join([self.members.kind, *self.members.networks])
            if self.members.kind == "dropout":
                facts["passes"] = f"{self.members.passes} of {self.members.draw}"
        return facts

    def rows(self, image: Tensor, case: str, fields: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Fields of `Pool` for one case, each a row.

        Args:
            image: (C, *spatial), preprocessed, on the networks' device.
            fields: of `features`, `gradients`, `uncertainty`, `class_uncertainty` and `foreground`.
        """
        rows: dict[str, np.ndarray] = {}
        if "features" in fields:
            rows["features"] = pooled_bottleneck(self.network, image, self.inferer)
        if "gradients" in fields:
            rows["gradients"] = gradient_embedding_of_case(self.network, image, self.inferer)
        if {"uncertainty", "class_uncertainty", "foreground"} & {*fields}:
            assert self.members is not None  # a pretext was refused before
            rows |= scored(self.members.probabilities(image, self.inferer, case), self.map_name, self.pooling)
        return {name: rows[name] for name in fields if name in rows}

    def maps(self, image: Tensor, case: str) -> tuple[Tensor, Tensor]:
        """The mean of the members' probabilities (K, *spatial), and the map of uncertainty (*spatial)."""
        assert self.members is not None  # a pretext was refused before
        members = self.members.probabilities(image, self.inferer, case)
        name = self.map_name
        if len(members) == 1 and name not in ("entropy", "margin"):
            name = PICTURED
        return members.mean(dim=0), MAPS[name](members)


def scored(members: Tensor, map_name: str, pooling: str) -> dict[str, np.ndarray]:
    """`uncertainty` (), `class_uncertainty` (1 + C) and predicted `foreground` (C), voxels of the network's grid.

    Args:
        members: (M, K, *spatial), probabilities.
        map_name: of `uncertainty_maps.MAPS`.
        pooling: of `uncertainty_maps.POOLINGS`.
    """
    labels = members.mean(dim=0).argmax(dim=0)
    counts = torch.bincount(labels.flatten(), minlength=members.shape[1])
    return {
        "uncertainty": np.asarray(POOLINGS[pooling](MAPS[map_name](members), labels)),
        "class_uncertainty": class_uncertainty(members).double().numpy(),
        "foreground": counts[1:].numpy(),
    }


def largest_value(map_name: str, classes: int) -> float:
    """What a map can reach: white in pictures."""
    limits: Mapping[str, float] = {
        "entropy": math.log(classes), "bald": math.log(classes), "variance": 0.25, "margin": 1.0, "disagreement": 1.0,
    }  # fmt: skip
    return limits[map_name]


def checked_pooling(pooling: str | None) -> str:
    """The rule's name.

    Raises:
        UserError: E515, an unknown one.
    """
    if pooling is None:
        return DEFAULT_POOLING
    if pooling not in POOLINGS:
        raise UserError("E515", f"unknown --pooling {pooling!r}", did_you_mean(pooling, POOLINGS))
    return pooling
