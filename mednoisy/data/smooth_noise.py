"""Smooth random fields: what makes phantoms uneven."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def smooth_noise(shape: tuple[int, ...], sigma: float, generator: np.random.Generator) -> np.ndarray:
    """A random field of mean 0 and standard deviation 1, smooth over about `sigma` voxels."""
    field = gaussian_filter(generator.standard_normal(shape), sigma, mode="reflect")
    return (field - field.mean()) / field.std()
