"""Mixing, noise and augmentation: pure functions of tensors and a draw."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.perturb.augmentation import Geometry, Intensity, OneOf
    from mednoisy.perturb.copy_paste import BoxRule, outside, paste
    from mednoisy.perturb.cutmix import CutMixRule, cut_mix, inside
    from mednoisy.perturb.distortions import equalised_locally, median_of_neighbours, motion_blurred
    from mednoisy.perturb.gaussian_noise import clipped_noise
    from mednoisy.perturb.geometry import Affine, Flip, QuarterTurns
    from mednoisy.perturb.hashed_noise import hashed_normals
    from mednoisy.perturb.intensity import (
        Gamma,
        GaussianBlur,
        GaussianNoise,
        Look,
        LowResolution,
        ScaleIntensity,
        ShiftIntensity,
    )
    from mednoisy.perturb.picture_faults import Holes, LocalEqualisation, MedianFilter, MotionBlur
    from mednoisy.perturb.strong_views import AppearanceChange, StrongView, appearance_changed, blurred, drop_channels
    from mednoisy.perturb.warps import Elastic, GridDistortion, Lens
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.perturb.augmentation": ("Geometry", "Intensity", "OneOf"),
            "mednoisy.perturb.copy_paste": ("BoxRule", "outside", "paste"),
            "mednoisy.perturb.cutmix": ("CutMixRule", "cut_mix", "inside"),
            "mednoisy.perturb.distortions": ("equalised_locally", "median_of_neighbours", "motion_blurred"),
            "mednoisy.perturb.gaussian_noise": ("clipped_noise",),
            "mednoisy.perturb.geometry": ("Affine", "Flip", "QuarterTurns"),
            "mednoisy.perturb.hashed_noise": ("hashed_normals",),
            "mednoisy.perturb.intensity": (
                "Gamma",
                "GaussianBlur",
                "GaussianNoise",
                "Look",
                "LowResolution",
                "ScaleIntensity",
                "ShiftIntensity",
            ),
            "mednoisy.perturb.picture_faults": ("Holes", "LocalEqualisation", "MedianFilter", "MotionBlur"),
            "mednoisy.perturb.strong_views": (
                "AppearanceChange",
                "StrongView",
                "appearance_changed",
                "blurred",
                "drop_channels",
            ),
            "mednoisy.perturb.warps": ("Elastic", "GridDistortion", "Lens"),
        },
    )

__all__ = [
    "Affine",
    "AppearanceChange",
    "BoxRule",
    "CutMixRule",
    "Elastic",
    "Flip",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Geometry",
    "GridDistortion",
    "Holes",
    "Intensity",
    "Lens",
    "LocalEqualisation",
    "Look",
    "LowResolution",
    "MedianFilter",
    "MotionBlur",
    "OneOf",
    "QuarterTurns",
    "ScaleIntensity",
    "ShiftIntensity",
    "StrongView",
    "appearance_changed",
    "blurred",
    "clipped_noise",
    "cut_mix",
    "drop_channels",
    "equalised_locally",
    "hashed_normals",
    "inside",
    "median_of_neighbours",
    "motion_blurred",
    "outside",
    "paste",
]
