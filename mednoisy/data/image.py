"""Voxels and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mednoisy.data.formats.voxels import UPRIGHT

LUMA = (0.299, 0.587, 0.114)  # shares of red, green and blue in the grey of a picture, ITU-R BT.601
RIGHT_WITHIN = 1e-4  # the cosine of an angle that counts as right; rounding of headers stays below


@dataclass(frozen=True)
class Image:
    """Voxels and where they lie.

    Attributes:
        array: (*spatial), or (*spatial, channels) for a picture in colour. Two or three spatial axes;
            a picture's are rows and columns. Whole numbers stay whole, all else is float32.
        affine: (4, 4), from voxel indices to millimetres (or pixels, where a file knows no size).
        spacing: the distance between neighbouring voxels along each spatial axis.
        located: whether the file says how large its voxels are; False for pictures, and for HDF5, NRRD and MetaImage
            files without a word of it. `affine` is a mere convention then.
        order: of the stored axes by the format's convention: "xyz" for volumes, "rows" (then columns) for pictures,
            "unknown" for HDF5.
        oriented: whether the file says where the patient's right, front and top are; False for pictures, for NIfTI
            with neither qform nor sform, for HDF5 without `affine`, for NRRD without an anatomical space.
        placed: whether the file says where its voxels lie; False for NIfTI with neither qform nor sform, for HDF5
            with `spacing` alone, for NRRD without a space, and wherever `located` is.
        turned: how a picture was stored, as EXIF counts orientations; 1 where it was not turned for reading.
        notes: texts that follow a subject ("image ..."): what contradicts itself in the header.
    """

    array: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]
    located: bool = True
    order: str = "xyz"
    oriented: bool = False
    placed: bool = True
    turned: int = UPRIGHT
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.located:  # without a size of its voxels a place means nothing
            object.__setattr__(self, "placed", False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape."""
        return self.array.shape[: len(self.spacing)]

    @property
    def steps(self) -> tuple[float, ...] | np.ndarray:
        """How to get from one voxel to its neighbours, for distances: `spacing` where the axes stand at right angles,
        else a matrix (axes, axes) whose columns are the steps along each axis, in a frame of its own."""
        columns = self.affine[:3, : len(self.spacing)]
        if right_angled(columns):
            return self.spacing
        return np.asarray(np.linalg.qr(columns).R)  # has the lengths and angles of the columns

    def as_slice(self) -> Image:
        """Without an axis of length one, whichever it is: a volume of one slice is that slice, everywhere."""
        axis = slice_axis(self.shape)
        if axis is None:
            return self
        kept = [other for other in range(3) if other != axis]
        affine = self.affine[:, [*kept, axis, 3]]
        spacing = tuple(self.spacing[other] for other in kept)
        return replace(self, array=self.array.take(0, axis), affine=affine, spacing=spacing)


def slice_axis(shape: Sequence[int]) -> int | None:
    """The axis that makes a volume a slice: of length one, the last of several; None where it is none."""
    singles = [axis for axis, size in enumerate(shape) if size == 1]
    return singles[-1] if len(shape) == 3 and singles else None


def right_angled(columns: np.ndarray) -> bool:
    """Whether steps (3, axes) stand at right angles, to `RIGHT_WITHIN`."""
    directions = columns / np.linalg.norm(columns, axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(columns.shape[1])).max() <= RIGHT_WITHIN)


def shear_note(affine: np.ndarray, axes: int) -> str:
    """How far the axes are off right angles, as a note that follows a subject."""
    directions = affine[:3, :axes] / np.linalg.norm(affine[:3, :axes], axis=0)
    cosine = np.abs(directions.T @ directions - np.eye(axes)).max()
    return f"has axes that are {np.degrees(np.arcsin(min(cosine, 1.0))):.3g} degrees off right angles, which is heeded"
