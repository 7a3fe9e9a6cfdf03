"""What is undefined is NaN: left out of means, counted, never scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Values = np.ndarray | Sequence[float | None]  # None is undefined too


def defined(values: Values) -> np.ndarray:
    """The values (N,) that are neither NaN nor None, float64."""
    array = np.asarray(values, dtype=float)
    return array[~np.isnan(array)]


def mean_of_defined(values: Values) -> np.ndarray:
    """Mean along the last axis over what is neither NaN nor None; NaN where nothing is left.

    Args:
        values: (..., N).

    Returns:
        float64, (...), of a single axis a number.
    """
    array = np.asarray(values, dtype=float)
    is_defined = ~np.isnan(array)
    count = is_defined.sum(axis=-1)
    total = np.where(is_defined, array, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
