"""Where a label of a CT belongs when headers do not agree: by place, as stored, or by what the voxels show."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from mednoisy.data.images import Image
from mednoisy.errors import UserError

SAME_PLACE = 0.5  # voxels that grids of one place may lie apart
SOFT_TISSUE_HU = (-50.0, 250.0)  # organs, with contrast agent and some fat at their border
ENOUGH, CLEARLY = 0.8, 0.1  # of a label's voxels; by how much a way must lead
HEADERS, STORED = "by their headers", "as stored"
FLIPS = [axes for count in range(4) for axes in combinations(range(3), count)]


def placed_on(image: Image, label: Image, case: str, *, stored_first: bool = False) -> tuple[np.ndarray, str]:
    """The label's array on the axes of its image, and how that was settled, a note.

    1. By the headers, where the label's puts it on the image's voxels, whatever the order and direction of its axes.
    2. Else as stored. With `stored_first` this comes before: labels of the NIH's archive state another place than its
       slices, but voxel [column, row, slice] of a label is that of the slices in order, on which the preparations of
       several groups agree (OrganSegRSTN, MC-Net, CoraNet).
    3. A label so placed must lie on soft tissue, and no flip of its axes clearly more so; else that flip is taken.

    Args:
        image: in Hounsfield units.
        label: whole codes, 0 for background.

    Raises:
        UserError: E378, other sizes, or no way puts the label on soft tissue, or several do.
    """
    ways = {HEADERS: _by_header(image, label), STORED: label.array if label.shape == image.shape else None}
    order = (STORED, HEADERS) if stored_first else (HEADERS, STORED)
    how = next((way for way in order if ways[way] is not None), None)
    array = ways[how] if how else None
    if how is None or array is None:
        sizes = " and ".join("x".join(map(str, one.shape)) for one in (image, label))
        cause = f"image and label are of {sizes} voxels, and their headers put them in different places"
        raise UserError("E378", cause, "Get both from the archive again", case=case)
    shares: dict[tuple[int, ...], float] = {(): 1.0}
    if array.any():
        shares = {axes: _on_tissue(image.array, np.flip(array, axes)) for axes in FLIPS}
    best, *others = sorted(shares, key=lambda axes: -shares[axes])
    if shares[()] >= ENOUGH and shares[best] - shares[()] < CLEARLY:
        return array, f"image and label were put together {how}"
    if shares[best] < ENOUGH or shares[best] - shares[others[0]] < CLEARLY:
        cause = f"{shares[()]:.0%} of the label lies on soft tissue, and no flip of it alone fits"
        raise UserError("E378", cause, "Check that image and label are of one case", case=case)
    names = ", ".join("xyz"[axis] for axis in best)
    return np.flip(array, best), f"the label was flipped along {names} from how it lies {how}, to lie on soft tissue"


def _by_header(image: Image, label: Image) -> np.ndarray | None:
    """The label's array, its axes in the order and direction of the image's; None where the grids are not one."""
    if not (image.placed and label.placed):
        return None
    steps = np.linalg.inv(label.affine) @ image.affine  # from an index of the image to one of the label
    order = np.abs(steps[:3, :3]).argmax(axis=0)
    if sorted(order) != [0, 1, 2]:
        return None
    turned = np.transpose(label.array, order)
    signs = np.sign([steps[axis, number] for number, axis in enumerate(order)])
    turned = np.flip(turned, tuple(number for number in range(3) if signs[number] < 0))
    if turned.shape != image.shape:
        return None
    exact = np.zeros((3, 4))
    for number, axis in enumerate(order):
        exact[axis, number] = signs[number]
        exact[axis, 3] = 0 if signs[number] > 0 else label.shape[axis] - 1
    corners = np.array([[*corner, 1] for corner in product(*[(0, size - 1) for size in image.shape])]).T
    apart = np.abs((steps[:3] - exact) @ corners).max()
    return turned if apart <= SAME_PLACE else None


def _on_tissue(image: np.ndarray, label: np.ndarray) -> float:
    values = image[label > 0]
    return float(np.mean((values >= SOFT_TISSUE_HU[0]) & (values <= SOFT_TISSUE_HU[1])))
