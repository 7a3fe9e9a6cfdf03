"""Voxels that nobody looked at: one code for them in labels, whichever codes the datalist ignores. No torch here."""

from __future__ import annotations

import numpy as np

IGNORED = 255  # in labels of 8 bits, as cases are kept; so classes have codes up to 254


def without_ignored(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`prediction` with background where `reference` is `IGNORED`, of which no class counts anything there.

    Examples:
        >>> without_ignored(np.array([1, 1, 0]), np.array([1, IGNORED, 1]))
        array([1, 0, 0])
    """
    ignored = reference == IGNORED
    return np.where(ignored, 0, prediction) if ignored.any() else prediction
