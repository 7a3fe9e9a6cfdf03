"""Labeled images alone: the baselines of every comparison."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.segmentation import DiceKind, cross_entropy, dice_loss
from mednoisy.methods.method import Method, Step, Terms
from mednoisy.networks.ensemble import MeanEnsemble, same_weights


class Supervised(Method):
    """A network learns from labeled images, by default half Dice and half cross-entropy.

    Args:
        network: maps (B, C, *S) to logits (B, K, *S).
        dice: kind of Dice, see `dice_loss`. Published: "foreground_squared" on the left atrium (UA-MT),
            "batch_squared" on ACDC (SSL4MIS); the default is BCP's and SDCL's in 3D, so that methods compared
            with one another share it.
        dice_share: of Dice in the loss, 0..1; cross-entropy has the rest.
    """

    def __init__(self, network: nn.Module, dice: DiceKind = "per_sample", dice_share: float = 0.5):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.dice, self.dice_share = dice, dice_share

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images."""
        logits = self.students["student"](batch.labeled)
        return {"student": supervised_terms(logits, batch.labels, self.dice, self.dice_share)}

    def predictors(self) -> dict[str, nn.Module]:
        """The student."""
        return {"student": self.students["student"]}


class SupervisedEnsemble(Method):
    """Several networks learn from the same labeled images, each for itself; their mean is deployed.

    What methods with two students have to beat: an ensemble is better than its members without any unlabeled image.

    Args:
        networks: by name, of different structure or weights.
        dice: as of `Supervised`.

    Raises:
        ValueError: fewer than two networks, or two with the same weights, whose mean would be either.
    """

    def __init__(self, networks: Mapping[str, nn.Module], dice: DiceKind = "per_sample"):
        super().__init__()
        if len(networks) < 2:
            raise ValueError(f"an ensemble of {len(networks)} networks; it needs two")
        if any(same_weights(one, other) for one, other in combinations(networks.values(), 2)):
            raise ValueError("two networks have the same weights; an ensemble needs such that differ")
        self.students = nn.ModuleDict(networks)
        self.dice = dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of each student."""
        return {
            name: supervised_terms(student(batch.labeled), batch.labels, self.dice)
            for name, student in self.students.items()
        }

    def predictors(self) -> dict[str, nn.Module]:
        """The mean of the students, then each."""
        return {"mean": MeanEnsemble(self.students.values()), **self.students}


def supervised_terms(logits: Tensor, labels: Tensor, dice: DiceKind, dice_share: float = 0.5) -> Terms:
    """Half Dice and half cross-entropy of a prediction, as every method here uses them on real labels."""
    return Terms(dice=(dice_share, dice_loss(logits, labels, dice)), ce=(1 - dice_share, cross_entropy(logits, labels)))
