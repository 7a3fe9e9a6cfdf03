"""Mixing and noise: pure functions of tensors and a draw."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.perturb.copy_paste import BoxRule, outside, paste
    from mednoisy.perturb.cutmix import CutMixRule, cut_mix, inside
    from mednoisy.perturb.distortions import equalised_locally, median_of_neighbours, motion_blurred, radially_distorted
    from mednoisy.perturb.gaussian_noise import clipped_noise
    from mednoisy.perturb.strong_views import AppearanceChange, StrongView, appearance_changed, blurred, drop_channels
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.perturb.copy_paste": ("BoxRule", "outside", "paste"),
            "mednoisy.perturb.cutmix": ("CutMixRule", "cut_mix", "inside"),
            "mednoisy.perturb.distortions": (
                "equalised_locally",
                "median_of_neighbours",
                "motion_blurred",
                "radially_distorted",
            ),
            "mednoisy.perturb.gaussian_noise": ("clipped_noise",),
            "mednoisy.perturb.strong_views": (
                "AppearanceChange",
                "StrongView",
                "appearance_changed",
                "blurred",
                "drop_channels",
            ),
        },
    )

__all__ = [
    "AppearanceChange",
    "BoxRule",
    "CutMixRule",
    "StrongView",
    "appearance_changed",
    "blurred",
    "clipped_noise",
    "cut_mix",
    "drop_channels",
    "equalised_locally",
    "inside",
    "median_of_neighbours",
    "motion_blurred",
    "outside",
    "paste",
    "radially_distorted",
]
