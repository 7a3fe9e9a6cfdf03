"""A volume on a grid of equal spacing."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform

from mednoisy.data.images import Image


def resample(image: Image, spacing_mm: float, *, labels: bool = False) -> Image:
    """The volume on a grid of equal spacing whose first edges are those of the old grid.

    The last voxels may reach beyond the old field of view by half a voxel, where the border is repeated.
    Images are interpolated linearly. With `labels`, each code's share is, and the largest wins; ties are
    frequent at even factors and go to the nearest voxel's code. (The nearest voxel everywhere would shift a
    label by half a fine voxel, the lower code in ties would shrink an atrium by 3 % at a factor of 2.)
    """
    step = spacing_mm / np.array(image.spacing)
    shape = tuple(int(size) for size in np.maximum(np.rint(np.array(image.shape) / step), 1))
    offset = (step - 1) / 2  # centre of the first new voxel, in old voxels

    def sampled(array: np.ndarray, order: int) -> np.ndarray:
        return affine_transform(array.astype(np.float32), step, offset, output_shape=shape, order=order, mode="nearest")

    if labels:
        codes = np.unique(image.array)
        masks = [image.array == code for code in codes]
        shares = np.stack([sampled(mask, order=1) + 1e-3 * sampled(mask, order=0) for mask in masks])
        array = codes[shares.argmax(axis=0)]
    else:
        array = sampled(image.array, order=1)
    axes = len(image.spacing)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :axes] @ offset
    affine[:3, :axes] *= step
    return Image(array, affine, (spacing_mm,) * axes, oriented=image.oriented)
