"""One reader for each file format: voxels as numbers, and where they lie in RAS millimetres. No torch here."""

from __future__ import annotations

import gzip
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as Picture

NIFTI, HDF5, NRRD, META_IMAGE = (".nii", ".nii.gz"), (".h5", ".hdf5"), (".nrrd", ".nhdr"), (".mha", ".mhd")
TIFF = (".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", *TIFF)
SUFFIXES = (*NIFTI, *HDF5, *NRRD, *META_IMAGE, *PICTURES)
UNREADABLE = (  # what the libraries raise for damaged files
    *(OSError, EOFError, ValueError, ArithmeticError, SyntaxError, TypeError, LookupError, MemoryError),
    *(NotImplementedError, zlib.error, struct.error, ImageFileError, HeaderDataError, Picture.DecompressionBombError),
)
PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
GREY_MODES = ("1", "L", "I;16", "I;16B", "I;16L", "I", "F")
NIFTI_HEADER = 540  # bytes, of the longer of its versions
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
KEYED_MODES = ("L", "P", "RGB")  # in which PNG may call one value transparent; 16-bit greys keep their depth instead
ORIENTATION = 0x0112  # the tag of EXIF, XMP and TIFF
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNORIENTED = b"orientation not stated"  # in NIfTI's description, for its geometry cannot be stored without directions
META_IMAGE_ENTRIES = 100  # lines of a header that are looked at
NIFTI_UNITS = {1: 1000.0, 3: 0.001}  # metres and microns in millimetres; all other codes are taken for millimetres

logging.getLogger("nibabel.global").disabled = True  # it prints what it sets right in headers, and raises the rest
warnings.filterwarnings("ignore", category=Picture.DecompressionBombWarning)  # a slide's mask; more is refused
warnings.filterwarnings("ignore", message="Corrupt EXIF data")  # a camera's remarks, not the picture
_stderr_in_use = Lock()


@dataclass(frozen=True)
class Voxels:
    """What a reader finds.

    Attributes:
        array: (*spatial), or (rows, columns, 3) for a picture in colour, as stored (scaled where the header says so).
        affine: (4, 4), from voxel indices to RAS millimetres; the identity where the file holds no geometry.
        axes: how many spatial axes `array` has.
        located: whether the file says how large its voxels are or where they lie.
        order: of the stored axes by the format's convention: "xyz", "rows" (then columns), or "unknown".
        oriented: whether the file says where the patient's right, front and top are.
    """

    array: np.ndarray
    affine: np.ndarray
    axes: int
    located: bool = True
    order: str = "xyz"
    oriented: bool = False


class NotOneImage(ValueError):
    """The file is sound but holds several images, or several values for each voxel."""


class NoSuchDataset(ValueError):
    """An HDF5 file without the dataset asked for."""


def reader_of(path: Path) -> Callable[[Path, str], Voxels] | None:
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
    with _quiet():
        try:
            with Picture.open(path, formats=PILLOW_FORMATS) as picture:
                return picture.format in ("JPEG", "MPO") or picture.info.get("compression") in ("jpeg", "tiff_jpeg")
        except Picture.UnidentifiedImageError:  # a TIFF that only tifffile reads, which knows no JPEG
            return False


def read_nifti(path: Path, key: str) -> Voxels:
    """A NIfTI volume."""
    image = _load_nifti(path)
    proxy = image.dataobj
    plain = (proxy.slope, proxy.inter) == (1, 0)
    array = _one_volume(proxy.get_unscaled() if plain else np.asarray(proxy, dtype=np.float32))
    millimetres = NIFTI_UNITS.get(int(image.header["xyzt_units"]) % 8, 1.0)  # the upper bits are the unit of time
    stated = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    oriented = stated and image.header["descrip"].item() != UNORIENTED
    return Voxels(array, np.diag([millimetres] * 3 + [1.0]) @ image.affine, array.ndim, oriented=oriented)


def read_hdf5(path: Path, key: str) -> Voxels:
    """A dataset of an HDF5 file; attributes `affine` or `spacing` of it or of the file give the geometry."""
    with h5py.File(path) as file:
        data = file.get(key)
        if not isinstance(data, h5py.Dataset):
            raise NoSuchDataset(f"holds no dataset {key!r}")
        array = _one_volume(np.asarray(data[()]))
        attributes = {**file.attrs, **data.attrs}
    if "affine" in attributes:
        affine = np.asarray(attributes["affine"], dtype=np.float64).reshape(4, 4)
    else:
        affine = np.eye(4)
        spacing = np.atleast_1d(attributes.get("spacing", 1.0)).astype(np.float64)
        affine[range(array.ndim), range(array.ndim)] = np.broadcast_to(spacing, array.ndim)
    located, oriented = bool({"affine", "spacing"} & set(attributes)), "affine" in attributes
    return Voxels(array, affine, array.ndim, located, order="unknown", oriented=oriented)


def read_itk(path: Path, key: str) -> Voxels:
    """An NRRD or MetaImage volume of one value a voxel; ITK's LPS positions are turned into RAS."""
    import SimpleITK

    nrrd = path.name.lower().endswith(NRRD)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")  # or ITK goes by content, whatever the suffix
    reader.SetFileName(str(path))
    try:
        with _quiet():
            image = reader.Execute()
    except RuntimeError as error:  # its text is many lines of ITK's own files and addresses
        detached = ", or without its data file" if path.suffix.lower() in (".nhdr", ".mhd") else ""
        raise ValueError(f"damaged, truncated or of another format{detached}") from error
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise NotOneImage(f"holds {image.GetNumberOfComponentsPerPixel()} values for each voxel, wanted one")
    array = _one_volume(SimpleITK.GetArrayFromImage(image).T)
    size, axes = image.GetDimension(), min(image.GetDimension(), 3)
    lps = np.eye(4)
    lps[:axes, :axes] = (np.reshape(image.GetDirection(), (size, size)) * image.GetSpacing())[:axes, :axes]
    lps[:axes, 3] = image.GetOrigin()[:axes]
    located = not nrrd or image.HasMetaDataKey("NRRD_space") or any(step != 1 for step in image.GetSpacing())
    oriented = _anatomical_nrrd(image) if nrrd else _states_directions(path)
    return Voxels(array, LPS_TO_RAS @ lps, array.ndim, located, oriented=oriented)


def read_picture(path: Path, key: str) -> Voxels:
    """A PNG, JPEG or BMP picture: rows and columns as a viewer shows them, greys at their full depth, all else as RGB.

    The orientation of EXIF is applied. Palettes, CMYK and other colour models become RGB of 8 bits a channel, without
    colour profiles. What is transparent lies on black, so that it is background in a mask too.
    """
    with Picture.open(path, formats=PILLOW_FORMATS) as picture:
        return _of_picture(picture)


def read_tiff(path: Path, key: str) -> Voxels:
    """A TIFF of one page; what Pillow does not know (doubles, some faulty headers) is left to tifffile."""
    with _quiet():
        try:
            # Not by its path: Pillow maps plain greys into memory then, and scrambles those stored turned (13.0).
            with open(path, "rb") as file, Picture.open(file, formats=PILLOW_FORMATS) as picture:
                pages = getattr(picture, "n_frames", 1)
                if pages > 1:
                    raise NotOneImage(f"holds {pages} pages, wanted one")
                return _of_picture(picture)
        except Picture.UnidentifiedImageError:
            return _read_with_tifffile(path)


READERS = (
    (NIFTI, read_nifti),
    (HDF5, read_hdf5),
    ((*NRRD, *META_IMAGE), read_itk),
    (TIFF, read_tiff),
    (PICTURES, read_picture),
)


def _anatomical_nrrd(image: Any) -> bool:
    """Whether an NRRD file names a space of the patient: ITK brings all of those that it knows to this one."""
    return image.HasMetaDataKey("NRRD_space") and image.GetMetaData("NRRD_space") == "left-posterior-superior"


def _states_directions(path: Path) -> bool:
    """Whether the header of a MetaImage has directions, under one of their names; its last entry names the data."""
    with open(path, "rb") as file:
        for line in islice(file, META_IMAGE_ENTRIES):
            key = line.partition(b"=")[0].strip()
            if key in (b"TransformMatrix", b"Rotation", b"Orientation"):
                return True
            if key == b"ElementDataFile":
                break
    return False


def _load_nifti(path: Path) -> Any:
    """nibabel's image; it takes a compressed file cut off within the header for one of an unknown type."""
    try:
        return nibabel.load(path)
    except ImageFileError:
        if path.suffix.lower() == ".gz":
            try:
                with gzip.open(path) as file:
                    file.read(NIFTI_HEADER)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError("truncated or not gzip") from error
        raise


def _read_with_tifffile(path: Path) -> Voxels:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if len(file.pages) > 1 or series.axes not in ("YX", "YXS", "SYX"):
            raise NotOneImage(f"holds axes {series.axes} on {len(file.pages)} pages, wanted one picture")
        kind = tifffile.PHOTOMETRIC(file.pages.first.photometric)
        if kind not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            raise ValueError(f"its colours are {kind.name}, known are greys with black as 0, and RGB")
        array, orientation = series.asarray(), file.pages.first.tags.valueof(ORIENTATION, 1)
    array = np.moveaxis(array, 0, -1) if series.axes == "SYX" else array
    if array.ndim == 3 and array.shape[2] != 3:
        raise NotOneImage(f"holds {array.shape[2]} values for each pixel, wanted one or three")
    return Voxels(_upright(array, orientation), np.eye(4), 2, located=False, order="rows")


def _of_picture(picture: Picture.Image) -> Voxels:
    picture.load()  # Pillow turns TIFFs by itself here, and forgets the tag
    keyed = "transparency" in picture.info and picture.mode in KEYED_MODES
    if keyed or picture.mode in ALPHA_MODES:
        grey = picture.mode in ("L", "LA", "La")
        array = _on_black(np.asarray(picture.convert("RGBA")))
        array = array[..., 0] if grey else array
    else:
        array = np.asarray(picture.convert(picture.mode if picture.mode in GREY_MODES else "RGB"))
    upright = _upright(array, picture.getexif().get(ORIENTATION, 1))
    return Voxels(upright, np.eye(4), 2, located=False, order="rows")


def _on_black(array: np.ndarray) -> np.ndarray:
    """(rows, columns, 4) as RGB on a black ground; refuses a picture that is drawn by transparency alone."""
    colours, alpha = array[..., :3], array[..., 3:]
    if alpha.min() == 255:
        return colours
    flat = np.rint(colours * (alpha / np.float32(255))).astype(np.uint8)
    if not flat.any() and (colours.any() or alpha.any()):
        raise ValueError("all that can be seen is black, what it shows is in its transparency; store it without")
    return flat


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Rows and columns as a viewer shows them: orientations 2 to 8 flip or turn, anything else is as it should be."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _one_volume(array: np.ndarray) -> np.ndarray:
    """Without trailing axes of length one, such as a time axis of one frame."""
    stored = array.shape
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3):
        raise NotOneImage(f"has {len(stored)} axes ({'x'.join(map(str, stored))}), wanted two or three")
    return array


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr within the block, from C and C++ included: MetaIO and libtiff know no other way to complain.

    The redirection holds for the whole process, hence the lock; the blocks are kept as short as a reading.
    """
    with _stderr_in_use, open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
