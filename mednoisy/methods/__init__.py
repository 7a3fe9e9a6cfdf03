"""What is learned from one batch: one file a method."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.methods.bcp import BCP
    from mednoisy.methods.colorization import Colorization
    from mednoisy.methods.contrastive import Contrastive
    from mednoisy.methods.copy_paste import SupervisedCopyPaste
    from mednoisy.methods.cps import CrossPseudoSupervision
    from mednoisy.methods.fixmatch import FixMatch
    from mednoisy.methods.masked_autoencoding import MaskedAutoencoding
    from mednoisy.methods.mean_teacher import MeanTeacher
    from mednoisy.methods.method import Method, Step, Terms, forward_each, mixes_samples
    from mednoisy.methods.online_labels import OnlineLabels, TeacherTraining
    from mednoisy.methods.pretext import Pretext
    from mednoisy.methods.ramp_up import Ramp, StepRamp, weight_at
    from mednoisy.methods.restoration import Restoration
    from mednoisy.methods.sdcl import SDCL
    from mednoisy.methods.supervised import Supervised, SupervisedEnsemble, supervised_terms
    from mednoisy.methods.ua_mt import UncertaintyAwareMeanTeacher
    from mednoisy.methods.unimatch import UniMatch
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.methods.bcp": ("BCP",),
            "mednoisy.methods.colorization": ("Colorization",),
            "mednoisy.methods.contrastive": ("Contrastive",),
            "mednoisy.methods.copy_paste": ("SupervisedCopyPaste",),
            "mednoisy.methods.cps": ("CrossPseudoSupervision",),
            "mednoisy.methods.fixmatch": ("FixMatch",),
            "mednoisy.methods.masked_autoencoding": ("MaskedAutoencoding",),
            "mednoisy.methods.mean_teacher": ("MeanTeacher",),
            "mednoisy.methods.method": ("Method", "Step", "Terms", "forward_each", "mixes_samples"),
            "mednoisy.methods.online_labels": ("OnlineLabels", "TeacherTraining"),
            "mednoisy.methods.pretext": ("Pretext",),
            "mednoisy.methods.ramp_up": ("Ramp", "StepRamp", "weight_at"),
            "mednoisy.methods.restoration": ("Restoration",),
            "mednoisy.methods.sdcl": ("SDCL",),
            "mednoisy.methods.supervised": ("Supervised", "SupervisedEnsemble", "supervised_terms"),
            "mednoisy.methods.ua_mt": ("UncertaintyAwareMeanTeacher",),
            "mednoisy.methods.unimatch": ("UniMatch",),
        },
    )

__all__ = [
    "BCP",
    "SDCL",
    "Colorization",
    "Contrastive",
    "CrossPseudoSupervision",
    "FixMatch",
    "MaskedAutoencoding",
    "MeanTeacher",
    "Method",
    "OnlineLabels",
    "Pretext",
    "Ramp",
    "Restoration",
    "Step",
    "StepRamp",
    "Supervised",
    "SupervisedCopyPaste",
    "SupervisedEnsemble",
    "TeacherTraining",
    "Terms",
    "UncertaintyAwareMeanTeacher",
    "UniMatch",
    "forward_each",
    "mixes_samples",
    "supervised_terms",
    "weight_at",
]
