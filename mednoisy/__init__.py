"""Label-efficient medical image segmentation: volumes first, 2D as well, on MONAI.

What `__all__` names, here and in the packages below, is promised: it changes with a word in the changelog only, and
from 1.0 on with a new major version. Everything else may change at any time. Each name is imported when it is first
asked for, so `import mednoisy` loads neither torch nor MONAI.
"""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.composition.monai_workflow import compose
    from mednoisy.data.batch import Batch
    from mednoisy.data.counter_based_random import Draw
    from mednoisy.data.datalist import Datalist
    from mednoisy.data.phantoms import make_dataset
    from mednoisy.errors import UserError
    from mednoisy.evaluation.folder_scoring import ScoringRules, evaluate_folders
    from mednoisy.evaluation.metrics import case_metrics
    from mednoisy.evaluation.surface_elements import surface_element_nsd
    from mednoisy.methods.method import Method, Step, Terms
    from mednoisy.pseudo.momentum_teacher import MomentumTeacher
    from mednoisy.report.run_page import write_report
    from mednoisy.studies.study import Study
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.composition.monai_workflow": ("compose",),
            "mednoisy.data.batch": ("Batch",),
            "mednoisy.data.datalist": ("Datalist",),
            "mednoisy.data.counter_based_random": ("Draw",),
            "mednoisy.data.phantoms": ("make_dataset",),
            "mednoisy.errors": ("UserError",),
            "mednoisy.evaluation.folder_scoring": ("ScoringRules", "evaluate_folders"),
            "mednoisy.evaluation.metrics": ("case_metrics",),
            "mednoisy.evaluation.surface_elements": ("surface_element_nsd",),
            "mednoisy.methods.method": ("Method", "Step", "Terms"),
            "mednoisy.pseudo.momentum_teacher": ("MomentumTeacher",),
            "mednoisy.report.run_page": ("write_report",),
            "mednoisy.studies.study": ("Study",),
        },
    )

__all__ = [
    "Batch",
    "Datalist",
    "Draw",
    "Method",
    "MomentumTeacher",
    "ScoringRules",
    "Step",
    "Study",
    "Terms",
    "UserError",
    "case_metrics",
    "compose",
    "evaluate_folders",
    "make_dataset",
    "surface_element_nsd",
    "write_report",
]

__version__ = "0.1.0"
