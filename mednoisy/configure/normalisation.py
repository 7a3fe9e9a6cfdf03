"""What becomes of intensities, by how images were made."""

from __future__ import annotations

from typing import Any

from mednoisy.configure.fingerprint import Fingerprint


def normalisation_for(fingerprint: Fingerprint) -> tuple[dict[str, Any] | None, str, str]:
    """The entry `normalisation` (None where the kind's own does), what it does in words, and why.

    CT has one scale for all scans: clipped to the 0.5th and 99.5th percentile of the foreground and z-scored by its
    mean and deviation, as nnU-Net does. All else has a scale of its own in each scan, and in each channel.
    """
    if fingerprint.pictures:
        return None, "standardised as weights of ImageNet expect it", "as all pictures in colour"
    if fingerprint.modality == "CT" and len(fingerprint.channels) == 1:
        return _of_ct(fingerprint)
    several = len(fingerprint.channels) > 1
    entry = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": "image", "channel_wise": True}
    words = "each scan and channel z-scored" if several else "each scan z-scored"
    why = f"modality {fingerprint.modality}: intensities of two scans have no common scale (nnU-Net)"
    return (entry if several else None), words, why


def _of_ct(fingerprint: Fingerprint) -> tuple[dict[str, Any], str, str]:
    within = fingerprint.foreground or fingerprint.intensities
    whose = "the labeled foreground" if fingerprint.foreground else "all voxels, for no label shows anything"
    low, high = within.low, within.high if within.high > within.low else within.low + 1
    deviation = within.deviation or 1.0
    ends = [float(f"{(end - within.mean) / deviation:.6g}") for end in (low, high)]
    entry = {
        "_target_": "monai.transforms.ScaleIntensityRanged",
        "keys": "image",
        "a_min": low,
        "a_max": high,
        "b_min": ends[0],
        "b_max": ends[1],
        "clip": True,
    }
    words = f"clipped to {low:g}..{high:g}, less {within.mean:.4g}, by {deviation:.4g}"
    return entry, words, f"CT has one scale: percentiles 0.5 and 99.5, mean and deviation of {whose} (nnU-Net)"
