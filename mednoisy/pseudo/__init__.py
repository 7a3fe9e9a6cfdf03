"""What turns a prediction into a label."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.pseudo.cleanup import harden, largest_components, pseudo_labels
    from mednoisy.pseudo.confidence import dropout_on, labels_with_confidence, predictive_entropy
    from mednoisy.pseudo.momentum_teacher import MomentumTeacher
    from mednoisy.pseudo.selection_rules import SelectionRules
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.pseudo.cleanup": ("harden", "largest_components", "pseudo_labels"),
            "mednoisy.pseudo.confidence": ("dropout_on", "labels_with_confidence", "predictive_entropy"),
            "mednoisy.pseudo.momentum_teacher": ("MomentumTeacher",),
            "mednoisy.pseudo.selection_rules": ("SelectionRules",),
        },
    )

__all__ = [
    "MomentumTeacher",
    "SelectionRules",
    "dropout_on",
    "harden",
    "labels_with_confidence",
    "largest_components",
    "predictive_entropy",
    "pseudo_labels",
]
