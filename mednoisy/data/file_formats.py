"""One reader for each file format: voxels as numbers, and where they lie in RAS millimetres. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image as Picture

from mednoisy.data.formats import hdf5, meta_image, nifti, nrrd, pictures, tiff
from mednoisy.data.formats.packed_streams import unpacked_start
from mednoisy.data.formats.silence import quiet
from mednoisy.data.formats.voxels import Voxels

NIFTI, HDF5, NRRD, META_IMAGE = nifti.SUFFIXES, hdf5.SUFFIXES, nrrd.SUFFIXES, meta_image.SUFFIXES
TIFF = tiff.SUFFIXES
PICTURES = (*pictures.SUFFIXES, *TIFF)
SUFFIXES = (*NIFTI, *HDF5, *NRRD, *META_IMAGE, *PICTURES)
Reader = Callable[[Path, str], Voxels]
READERS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    (NIFTI, nifti.read_nifti),
    (HDF5, hdf5.read_hdf5),
    (NRRD, nrrd.read_nrrd),
    (META_IMAGE, meta_image.read_meta_image),
    (TIFF, tiff.read_tiff),
    (pictures.SUFFIXES, pictures.read_picture),
)
START = 544  # bytes, in which every format can be told
CONTENTS = (  # how files begin: at which byte, with what, what that is, and the suffix under which it is read, if any
    (344, b"n+1\0", "NIfTI", ".nii"),
    (4, b"n+2\0", "NIfTI", ".nii"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5", ".h5"),
    (0, b"NRRD000", "NRRD", ".nrrd"),
    (0, b"ObjectType", "MetaImage", ".mha"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG", ".png"),
    (0, b"\xff\xd8\xff", "JPEG", ".jpg"),
    (0, b"II*\0", "TIFF", ".tif"),
    (0, b"MM\0*", "TIFF", ".tif"),
    (0, b"GIF8", "GIF", None),
    (128, b"DICM", "DICOM", None),
    (0, b"PK\x03\x04", "a zip archive", None),
)


def reader_of(path: Path) -> Reader | None:
    """The reader of a file by its suffix, None where the format is not known.

    A reader takes the path and the name of an HDF5 dataset (others ignore it). It raises NotOneImage,
    NoSuchDataset, or one of UNREADABLE.
    """
    name = path.name.lower()
    return next((reader for suffixes, reader in READERS if name.endswith(suffixes)), None)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture of rows and columns, by its suffix."""
    return path.name.lower().endswith(PICTURES)


def is_lossy(path: Path) -> bool:
    """Whether a picture is compressed as JPEG, by what it holds: JPEG files are found under other suffixes."""
    with quiet():
        try:
            with Picture.open(path, formats=pictures.PILLOW_FORMATS) as picture:
                return picture.format in ("JPEG", "MPO") or picture.info.get("compression") in ("jpeg", "tiff_jpeg")
        except Picture.UnidentifiedImageError:  # a TIFF that only tifffile reads, which knows no JPEG
            return False


def other_content(path: Path) -> tuple[str, str | None] | None:
    """What a file holds whose content is of another format than its suffix says, and the suffix under which it would
    be read, if any; None where the two agree or the content is not known."""
    with open(path, "rb") as file:
        start = file.read(START)
    packed = start.startswith(b"\x1f\x8b")
    if packed:
        try:
            start = unpacked_start(path, "gzip", START)
        except ValueError:  # damaged
            return None
    for place, mark, name, suffix in CONTENTS:
        if start[place:].startswith(mark):
            fits = suffix is not None and reader_of(Path(f"a{suffix}")) is reader_of(path)
            if packed and suffix != ".nii":
                return f"{name} in gzip", None
            if packed or suffix == ".nii":
                suffix = ".nii.gz" if packed else ".nii"
                fits = path.name.lower().endswith(suffix)
            return None if fits else (f"{name} packed by gzip" if packed else name, suffix)
    return None
