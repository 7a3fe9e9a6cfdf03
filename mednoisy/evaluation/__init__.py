"""Exact metrics and statistics, without torch or MONAI."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.evaluation.folder_scoring import ScoringRules, evaluate_folders
    from mednoisy.evaluation.metrics import case_metrics, read_metrics, write_metrics
    from mednoisy.evaluation.ranking import compare, holm
    from mednoisy.evaluation.statistics import paired_difference, summarise
    from mednoisy.evaluation.surface_elements import surface_element_nsd
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.evaluation.folder_scoring": ("ScoringRules", "evaluate_folders"),
            "mednoisy.evaluation.metrics": ("case_metrics", "read_metrics", "write_metrics"),
            "mednoisy.evaluation.ranking": ("compare", "holm"),
            "mednoisy.evaluation.statistics": ("paired_difference", "summarise"),
            "mednoisy.evaluation.surface_elements": ("surface_element_nsd",),
        },
    )

__all__ = [
    "ScoringRules",
    "case_metrics",
    "compare",
    "evaluate_folders",
    "holm",
    "paired_difference",
    "read_metrics",
    "summarise",
    "surface_element_nsd",
    "write_metrics",
]
