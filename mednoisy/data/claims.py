"""What the header of a file claims, before its voxels are read. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Picture

from mednoisy.data.file_formats import HDF5, META_IMAGE, NIFTI, NRRD, is_picture
from mednoisy.data.formats import meta_image, nifti, nrrd
from mednoisy.data.formats.silence import quiet
from mednoisy.data.formats.voxels import UNREADABLE

HEADERS_ALONE = (".nhdr", ".mhd")  # whose voxels lie in files of their own


def claimed_voxels(path: Path) -> float | None:
    """How many voxels, or pixels, a header tells of; None where it cannot be read, and of HDF5."""
    try:
        shape = _shape(path)
    except UNREADABLE:  # what is wrong with it is told by the reader
        return None
    return None if shape is None else math.prod(float(size) for size in shape)


def stands_alone(path: Path) -> bool:
    """Whether a file holds its voxels itself; of HDF5 nothing tells: its datasets may lie in any other file."""
    name = path.name.lower()
    if name.endswith((*HDF5, *HEADERS_ALONE)):
        return False
    try:
        if name.endswith(NRRD):
            return "datafile" not in nrrd.read_header(path).fields
        if name.endswith(META_IMAGE):
            return meta_image.read_header(path).entries["ElementDataFile"].upper() == "LOCAL"
    except UNREADABLE:
        return True
    return True


def _shape(path: Path) -> Sequence[int] | None:
    name = path.name.lower()
    if name.endswith(NIFTI):
        shape: Sequence[int] = nifti.read_header(path).get_data_shape()
        return shape
    if name.endswith(NRRD):
        return nrrd.read_header(path).sizes
    if name.endswith(META_IMAGE):
        return meta_image.read_header(path).sizes
    if is_picture(path):
        with quiet(), Picture.open(path) as picture:
            return picture.size
    return None
