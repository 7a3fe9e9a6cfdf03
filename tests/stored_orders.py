"""One volume in each of the 48 orders and senses in which its axes can be stored."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np

ORDERS = [
    np.column_stack([axes, senses]) for axes in permutations(range(3)) for senses in product((1, -1), repeat=3)
]  # as nibabel has orientations: for each axis its new number and its new sense
SOME_ORDERS = [ORDERS[number] for number in (0, 5, 11, 22, 30, 39, 46)]


def name_of(order: np.ndarray) -> str:
    """What the axes of a volume that was RAS run towards."""
    return "".join(
        "RAS"[axis] if sense > 0 else "LPI"[axis]
        for axis, sense in sorted(
            ((stored, sense) for stored, (_, sense) in enumerate(order.tolist())), key=lambda it: order[it[0], 0]
        )
    )


def stored(image: nibabel.Nifti1Image, order: np.ndarray) -> nibabel.Nifti1Image:
    """The same volume, every voxel at its place."""
    return image.as_reoriented(order)


def upright(image: nibabel.Nifti1Image) -> np.ndarray:
    """Its voxels by the axes that are nearest to right, front and top."""
    return np.asarray(nibabel.as_closest_canonical(image).dataobj)
