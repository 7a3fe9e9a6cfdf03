"""Loss functions of logits and labels; a loss knows no method."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.losses.adversarial import (
        least_squares_fooling,
        least_squares_judging,
        loss_sensitive_fooling,
        loss_sensitive_judging,
    )
    from mednoisy.losses.consistency import confident_loss, squared_gap
    from mednoisy.losses.discrepancy import disagreement, doubt_where_wrong, squared_gap_to_label
    from mednoisy.losses.invariance import vicreg
    from mednoisy.losses.segmentation import DiceKind, cross_entropy, dice_loss, mixed_loss, soft_dice_loss
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.losses.adversarial": (
                "least_squares_fooling",
                "least_squares_judging",
                "loss_sensitive_fooling",
                "loss_sensitive_judging",
            ),
            "mednoisy.losses.consistency": ("confident_loss", "squared_gap"),
            "mednoisy.losses.discrepancy": ("disagreement", "doubt_where_wrong", "squared_gap_to_label"),
            "mednoisy.losses.invariance": ("vicreg",),
            "mednoisy.losses.segmentation": ("DiceKind", "cross_entropy", "dice_loss", "mixed_loss", "soft_dice_loss"),
        },
    )

__all__ = [
    "DiceKind",
    "confident_loss",
    "cross_entropy",
    "dice_loss",
    "disagreement",
    "doubt_where_wrong",
    "least_squares_fooling",
    "least_squares_judging",
    "loss_sensitive_fooling",
    "loss_sensitive_judging",
    "mixed_loss",
    "soft_dice_loss",
    "squared_gap",
    "squared_gap_to_label",
    "vicreg",
]
