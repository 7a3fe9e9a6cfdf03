"""How images were made, from the names of their channels or else from their intensities."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mednoisy.configure.intensities import Intensities

WORDS = {  # what names of channels say, as words of their own
    "CT": ("ct", "cta", "cect", "ncct", "cbct", "hu", "hounsfield", "tomography"),
    "MR": ("mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "dwi", "adc", "lge", "cine",
           "gadolinium"),
    "PET": ("pet", "suv"),
    "US": ("us", "ultrasound", "echo"),
}  # fmt: skip
LOWEST_HU, AIR_HU, DENSE_HU = -3100.0, -900.0, 100.0  # padding of scanners, air (-1000), and bone or contrast


def modality_of(channels: Sequence[str], intensities: Intensities) -> str:
    """ "CT", "MR", "PET", "US" where all channels say the same, "mixed" where they differ; else what intensities tell.

    Whole numbers of which the lowest (0.5th percentile) are those of air, or of the padding of scanners, and that reach
    beyond soft tissue are Hounsfield units, of CT. All else is "unknown".
    """
    said = [named(name) for name in channels]
    if all(said):
        return str(said[0]) if len(set(said)) == 1 else "mixed"
    air = LOWEST_HU <= intensities.low <= AIR_HU
    return "CT" if air and intensities.high > DENSE_HU and intensities.whole else "unknown"


def named(channel: str) -> str | None:
    """The modality that the name of a channel holds as a word; None where it holds none."""
    words = set(re.split(r"[^a-z0-9]+", channel.lower()))
    return next((modality for modality, known in WORDS.items() if words & set(known)), None)
