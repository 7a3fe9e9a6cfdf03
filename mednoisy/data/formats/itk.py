"""What ITK reads of NRRD and MetaImage headers, and of the rarer ways to store their voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mednoisy.data.formats.silence import quiet
from mednoisy.data.formats.voxels import NotOneImage

if TYPE_CHECKING:
    from SimpleITK import ImageFileReader

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class ItkHeader:
    """Size and geometry of a volume of one value a voxel.

    Attributes:
        size: of the axes, the one that runs fastest first.
        affine: (4, 4), from voxel indices to RAS, in the file's unit of length.
        steps: the voxel's size along each axis, in that unit.
        space: what the file calls its space, as ITK has it; empty where it does not.
    """

    size: tuple[int, ...]
    affine: np.ndarray
    steps: tuple[float, ...]
    space: str


def read_header(path: Path, image_io: str, detached: bool) -> ItkHeader:
    """The header alone; ITK's LPS positions are turned into RAS.

    Args:
        image_io: the name of ITK's reader; ITK by itself goes by content, whatever the suffix.
        detached: whether the voxels may be in a file of their own, for the message.
    """
    reader = _reader(path, image_io)
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:  # its text is many lines of ITK's own files and addresses
        raise ValueError(foreign(detached)) from error
    if reader.GetNumberOfComponents() > 1:
        raise NotOneImage(f"holds {reader.GetNumberOfComponents()} values for each voxel, wanted one")
    axes = reader.GetDimension()
    kept = min(axes, 3)
    lps = np.eye(4)
    lps[:kept, :kept] = (np.reshape(reader.GetDirection(), (axes, axes)) * reader.GetSpacing())[:kept, :kept]
    lps[:kept, 3] = reader.GetOrigin()[:kept]
    space = reader.GetMetaData("NRRD_space") if reader.HasMetaDataKey("NRRD_space") else ""
    return ItkHeader(reader.GetSize(), LPS_TO_RAS @ lps, reader.GetSpacing(), space)


def read_voxels_of(path: Path, image_io: str, detached: bool) -> np.ndarray:
    """The voxels as ITK reads them, the axis that runs fastest first; what it claims must have been checked."""
    import SimpleITK

    try:
        with quiet():
            return SimpleITK.GetArrayFromImage(_reader(path, image_io).Execute()).T
    except RuntimeError as error:
        raise ValueError(foreign(detached)) from error


def foreign(detached: bool) -> str:
    """Why a file cannot be read, as far as ITK would tell."""
    return f"damaged, truncated or of another format{', or without its data file' if detached else ''}"


def _reader(path: Path, image_io: str) -> ImageFileReader:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    return reader
