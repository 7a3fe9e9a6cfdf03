"""Overlap of two sets of voxels, A and B: Dice and Jaccard, defined once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


def dice_of_sizes(shared: int, prediction: int, reference: int) -> float:
    """Dice 2|A∩B| / (|A|+|B|) from the numbers of voxels; NaN if both sets are empty."""
    both = prediction + reference
    return 2 * shared / both if both else math.nan


def jaccard_of_sizes(shared: int, prediction: int, reference: int) -> float:
    """Jaccard |A∩B| / |A∪B| from the numbers of voxels; NaN if both sets are empty."""
    union = prediction + reference - shared
    return shared / union if union else math.nan


def dice_by_class(prediction: np.ndarray, reference: np.ndarray, codes: Iterable[int]) -> list[float]:
    """Dice of each of these classes of two label maps of one shape, in their order; NaN where both lack the class."""
    return [_dice(prediction == code, reference == code) for code in codes]


def _dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    sizes = (int(np.count_nonzero(mask)) for mask in (prediction & reference, prediction, reference))
    return dice_of_sizes(*sizes)
