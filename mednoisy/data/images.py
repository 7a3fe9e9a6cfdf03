"""Every file format to an array with its geometry, and back: NIfTI, HDF5, PNG and JPEG. No torch here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as Picture

from mednoisy.errors import UserError
from mednoisy.files import written_aside

NIFTI, HDF5, PICTURES = (".nii", ".nii.gz"), (".h5", ".hdf5"), (".png", ".jpg", ".jpeg", ".bmp")
SUFFIXES = (*NIFTI, *HDF5, *PICTURES)
UNREADABLE = (  # what the libraries raise for damaged files
    *(OSError, EOFError, ValueError, OverflowError, SyntaxError, zlib.error, struct.error),
    *(ImageFileError, HeaderDataError),
)


@dataclass(frozen=True)
class Image:
    """Voxels and where they lie.

    Attributes:
        array: (*spatial), or (*spatial, channels) for a picture in colour. Two or three spatial axes;
            a picture's are rows and columns. Whole numbers stay whole, all else is float32.
        affine: (4, 4), from voxel indices to millimetres (or pixels, where a file knows no size).
        spacing: the distance between neighbouring voxels along each spatial axis.
    """

    array: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape."""
        return self.array.shape[: len(self.spacing)]


def case_name(path: Path | str) -> str:
    """The file's name without its suffix, `.nii.gz` taken as one."""
    name = Path(path).name
    suffix = next((s for s in (".nii.gz", *SUFFIXES) if name.lower().endswith(s)), Path(name).suffix)
    return name[: len(name) - len(suffix)]


def read_image(path: Path | str, key: str | None = None, *, case: str | None = None) -> Image:
    """The voxels of a file, scaled as its header says, with their geometry.

    HDF5 files hold datasets `image` and `label` (`key` says which, `image` by default); attributes `affine` or
    `spacing` of the dataset or the file give the geometry, 1 mm along the axes where there are none.

    Raises:
        UserError: E201 no such file; E202 unreadable, truncated or without voxels; E203 NaN or infinite
            voxels; E208 more than three spatial axes; E209 a geometry that is no geometry.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("E201", f"{path} does not exist", "Restore the file, or drop the case", case=case)
    if path.stat().st_size == 0:
        raise UserError("E202", f"{path} is empty (0 bytes)", "Copy the file again, or drop the case", case=case)
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise UserError("E202", f"{path} is of no known format", f"Known: {', '.join(SUFFIXES)}", case=case)
    read = _read_nifti if name.endswith(NIFTI) else _read_hdf5 if name.endswith(HDF5) else _read_picture
    try:
        array, affine, axes = read(path, key or "image")
    except UNREADABLE as error:
        cause = f"{path} cannot be read: {error or type(error).__name__}"
        raise UserError("E202", cause, "Copy or export the file again, or drop the case", case=case) from error
    except KeyError as error:
        cause = f"{path} holds no dataset {key or 'image'!r}"
        raise UserError("E202", cause, "Name the datasets `image` and `label`", case=case) from error
    _check_array(array, axes, path, case)
    _check_affine(affine, path, case)
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :axes], axis=0))
    return Image(np.ascontiguousarray(array), affine, spacing)


def check_image(image: Image, *, case: str | None = None) -> None:
    """Refuse an image whose voxels are all equal (E202): it shows nothing and cannot be normalised."""
    if image.array.min() == image.array.max():
        cause = f"the image is empty: every voxel is {image.array.flat[0]}"
        raise UserError("E202", cause, "Export the image again, or drop the case", case=case)


def check_pair(image: Image, label: Image, codes: Collection[int], *, case: str | None = None) -> None:
    """Refuse a label that is not on its image's grid or holds other values than `codes`.

    Raises:
        UserError: E204 shapes differ; E205 affines differ (some corner lies more than a hundredth of a voxel
            apart); E206 values that are no label code.
    """
    if image.shape != label.array.shape:
        cause = f"image is {_by(image.shape)}, label is {_by(label.array.shape)}"
        raise UserError("E204", cause, "Re-export the label on the image's grid, or drop the case", case=case)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in (*image.shape, 1)[:3]], [1])).reshape(4, -1)
    apart = np.linalg.norm(((image.affine - label.affine) @ corners)[:3], axis=0).max()
    if apart > 0.01 * min(image.spacing):
        cause = f"image and label have different affines (corners up to {apart:.3g} mm apart)"
        raise UserError("E205", cause, "Re-export the label on the image's grid, or drop the case", case=case)
    found = np.unique(label.array)
    strange = [value.item() for value in found if value not in codes]
    if strange:
        shown = ", ".join(f"{value:g}" for value in strange[:5]) + (", ..." if len(strange) > 5 else "")
        cause = f"label holds {shown}; known codes are {', '.join(str(code) for code in sorted(codes))}"
        raise UserError("E206", cause, "Add the code to `labels` of the datalist, or mend the label", case=case)


def write_nifti(path: Path | str, array: np.ndarray, affine: np.ndarray) -> None:
    """Write `array` (two or three axes) with `affine` (4, 4), whole or not at all.

    Whole numbers are stored in the smallest of uint8, int16 and int32 that holds them, all else as float32.
    """
    array = np.asarray(array)
    if array.dtype.kind in "bui":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        kinds = [
            kind for kind in (np.uint8, np.int16, np.int32) if np.iinfo(kind).min <= low <= high <= np.iinfo(kind).max
        ]
        if not kinds:
            raise ValueError(f"values from {low} to {high} do not fit into 32 bits")
        array = array.astype(kinds[0])
    else:
        array = array.astype(np.float32)
    image = nibabel.Nifti1Image(array, np.asarray(affine, dtype=np.float64))
    image.header.set_xyzt_units("mm")
    with written_aside(path) as aside:
        nibabel.save(image, aside)


def write_picture(path: Path | str, array: np.ndarray) -> None:
    """Write a picture: (rows, columns, 3) uint8 in colour, or (rows, columns) bool as one bit a pixel."""
    with written_aside(path) as aside:
        Picture.fromarray(array).save(aside)


def _read_nifti(path: Path, key: str) -> tuple[np.ndarray, np.ndarray, int]:
    image: Any = nibabel.load(path)
    proxy = image.dataobj
    plain = (proxy.slope, proxy.inter) == (1, 0)
    array = proxy.get_unscaled() if plain else np.asarray(proxy, dtype=np.float32)
    while array.ndim > 3 and array.shape[-1] == 1:  # a time axis of one frame
        array = array[..., 0]
    return _plain(array), image.affine, array.ndim


def _read_hdf5(path: Path, key: str) -> tuple[np.ndarray, np.ndarray, int]:
    with h5py.File(path) as file:
        data = file[key]
        array = _plain(data[()])
        attributes = {**file.attrs, **data.attrs}
    if "affine" in attributes:
        affine = np.asarray(attributes["affine"], dtype=np.float64).reshape(4, 4)
    else:
        affine = np.eye(4)
        spacing = np.atleast_1d(attributes.get("spacing", 1.0)).astype(np.float64)
        affine[range(array.ndim), range(array.ndim)] = np.broadcast_to(spacing, array.ndim)
    return array, affine, array.ndim


def _read_picture(path: Path, key: str) -> tuple[np.ndarray, np.ndarray, int]:
    with Picture.open(path) as picture:
        mode = picture.mode if picture.mode in ("1", "L", "I;16", "I") else "RGB"
        array = np.asarray(picture.convert(mode))
    return _plain(array), np.eye(4), 2


def _plain(array: np.ndarray) -> np.ndarray:
    """Whole numbers as they are, truth values as uint8, all else as float32."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"voxels are of type {array.dtype}, numbers are needed")
    return array.astype(array.dtype.newbyteorder("=") if array.dtype.kind in "iu" else np.float32, copy=False)


def _check_array(array: np.ndarray, axes: int, path: Path, case: str | None) -> None:
    if array.size == 0:
        raise UserError("E202", f"{path} has no voxels ({_by(array.shape)})", "Export the file again", case=case)
    if axes not in (2, 3):
        cause = f"{path} has {axes} axes ({_by(array.shape)}), wanted two or three"
        raise UserError("E208", cause, "Store one volume per file", case=case)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        cause = f"{path} has {count} NaN or infinite voxels"
        raise UserError(
            "E203", cause, "Replace them, by the background's value for example, or drop the case", case=case
        )


def _check_affine(affine: np.ndarray, path: Path, case: str | None) -> None:
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        cause = f"{path} has an affine that is singular or not finite"
        raise UserError("E209", cause, "Export the file with its voxel size and orientation", case=case)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
