"""Sentences of the table "Why these settings" that say what images are like."""

from __future__ import annotations

from collections.abc import Iterable

from mednoisy.configure import patches
from mednoisy.configure.fingerprint import Fingerprint


def why_slices(fingerprint: Fingerprint) -> str:
    """Why volumes are seen slice by slice."""
    size, spacing = by([round(each) for each in fingerprint.median_size]), by(fingerprint.median_spacing)
    least = f"one axis is over {patches.ANISOTROPIC:g} times coarser and shorter than the others (nnU-Net)"
    return f"median image {size} at {spacing} mm: {least}, with fewer than {patches.FEW_SLICES} slices"


def why_volumes(fingerprint: Fingerprint) -> str:
    """Why they are seen in 3D."""
    size, spacing = by([round(each) for each in fingerprint.median_size]), by(fingerprint.median_spacing)
    return (
        f"median image {size} at {spacing} mm: not {patches.ANISOTROPIC:g} times coarser along one axis, or many slices"
    )


def why_spacing(fingerprint: Fingerprint, *, coarser: bool) -> str:
    """Where the spacing is from."""
    coarse = patches.is_anisotropic(fingerprint.median_spacing, fingerprint.median_size)
    base = "the median; along the coarse axis the 10th percentile (nnU-Net)" if coarse else "the median (nnU-Net)"
    grown = f", {by(patches.target_spacing(fingerprint))}, made coarser so that a patch holds more of an image"
    return base + (grown if coarser else "")


def by(numbers: Iterable[float]) -> str:
    """Numbers as `3x4x5`."""
    return "x".join(f"{each:.4g}" for each in numbers)


def by_levels(strides: Iterable[Iterable[int]]) -> str:
    """Strides of all levels."""
    return ", ".join(by(level) for level in strides)
