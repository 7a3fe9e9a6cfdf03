"""What a reader finds in a file, and how it says that the file cannot be used."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as Picture

UNREADABLE = (  # what the libraries raise for damaged files
    *(OSError, EOFError, ValueError, ArithmeticError, SyntaxError, TypeError, LookupError, MemoryError),
    *(NotImplementedError, zlib.error, struct.error, ImageFileError, HeaderDataError, Picture.DecompressionBombError),
)
MILLIMETRES = {  # of units of length, as headers name them
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("micrometre", "micrometres", "microm"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-6),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
}
SAME_STEP = 1e-3  # by how much of a voxel two statements of its size may differ
UPRIGHT = 1  # the orientation, as EXIF counts them, of a picture that is stored as it is seen


@dataclass(frozen=True)
class Voxels:
    """What a reader finds.

    Attributes:
        array: (*spatial), or (rows, columns, 3) for a picture in colour, as stored (scaled where the header says so).
        affine: (4, 4), from voxel indices to RAS millimetres; the identity where the file holds no geometry.
        axes: how many spatial axes `array` has.
        located: whether the file says how large its voxels are.
        order: of the stored axes by the format's convention: "xyz", "rows" (then columns), or "unknown".
        oriented: whether the file says where the patient's right, front and top are.
        placed: whether it says where its voxels lie; without, `affine` holds their size and else a mere convention.
        turned: how a picture was stored, as EXIF counts orientations; 1 where it was not turned for reading.
        notes: texts that follow a subject ("image ..."): what contradicts itself in the header.
    """

    array: np.ndarray
    affine: np.ndarray
    axes: int
    located: bool = True
    order: str = "xyz"
    oriented: bool = False
    placed: bool = True
    turned: int = UPRIGHT
    notes: tuple[str, ...] = ()


class NotOneImage(ValueError):
    """The file is sound but holds several images, or several values for each voxel."""


class NoSuchDataset(ValueError):
    """An HDF5 file without the dataset asked for."""


def one_volume(array: np.ndarray) -> np.ndarray:
    """Without trailing axes of length one, such as a time axis of one frame."""
    stored = array.shape
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3):
        raise NotOneImage(f"has {len(stored)} axes ({'x'.join(map(str, stored))}), wanted two or three")
    return array


def contradiction(stated: np.ndarray, taken: np.ndarray, what: str, other: str) -> tuple[str, ...]:
    """A note where two statements of a voxel's size differ: `what` beside `other`, which was taken."""
    if np.allclose(stated, taken, rtol=SAME_STEP, atol=0):
        return ()
    sizes = ["x".join(f"{abs(step):.6g}" for step in steps) for steps in (stated, taken)]
    return (f"contradicts itself: its {what} says {sizes[0]} mm a voxel, its {other} {sizes[1]} mm, which was taken",)
