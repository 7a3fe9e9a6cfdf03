"""Labeled images alone: the baseline of every comparison."""

from __future__ import annotations

from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.segmentation import DiceKind, cross_entropy, dice_loss
from mednoisy.methods.method import Method, Step, Terms


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


def supervised_terms(logits: Tensor, labels: Tensor, dice: DiceKind, dice_share: float = 0.5) -> Terms:
    """Half Dice and half cross-entropy of a prediction, as every method here uses them on real labels."""
    return Terms(dice=(dice_share, dice_loss(logits, labels, dice)), ce=(1 - dice_share, cross_entropy(logits, labels)))
