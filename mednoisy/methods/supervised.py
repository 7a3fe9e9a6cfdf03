"""Labeled images alone: the baseline of every comparison."""

from __future__ import annotations

from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.segmentation import DiceKind, cross_entropy, dice_loss
from mednoisy.methods.method import Method, Step, Terms


class Supervised(Method):
    """A network learns from labeled images, half Dice and half cross-entropy.

    Args:
        network: maps (B, C, *S) to logits (B, K, *S).
        dice: kind of Dice, see `dice_loss`. Published: "foreground_squared" on the left atrium (UA-MT),
            "batch_squared" on ACDC (SSL4MIS); the default is BCP's and SDCL's in 3D, so that methods compared
            with one another share it.
    """

    def __init__(self, network: nn.Module, dice: DiceKind = "per_sample"):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.dice = dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images."""
        return {"student": supervised_terms(self.students["student"](batch.labeled), batch.labels, self.dice)}

    def predictors(self) -> dict[str, nn.Module]:
        """The student."""
        return {"student": self.students["student"]}


def supervised_terms(logits: Tensor, labels: Tensor, dice: DiceKind) -> Terms:
    """Half Dice and half cross-entropy of a prediction, as every method here uses them on real labels."""
    return Terms(dice=(0.5, dice_loss(logits, labels, dice)), ce=(0.5, cross_entropy(logits, labels)))
