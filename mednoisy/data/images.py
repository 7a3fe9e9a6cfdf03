"""Every file format to an array with its geometry, and NIfTI and pictures back. No torch here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image as Picture

from mednoisy.data.file_formats import NIFTI, SUFFIXES, other_content, reader_of
from mednoisy.data.formats import dicom, nifti
from mednoisy.data.formats.nifti import UNORIENTED
from mednoisy.data.formats.voxels import UNREADABLE, NoSuchDataset, NotOneImage
from mednoisy.data.image import Image, right_angled, shear_note
from mednoisy.errors import UserError
from mednoisy.files import written_aside

NO_DATA_FROM = 2.0**31  # intensities of scanners, counts and activities included, stay far below
SINGULAR_BELOW = 1e-6  # the volume that the directions of an affine span; that of right angles is 1


def case_name(path: Path | str) -> str:
    """The file's name without its suffix, `.nii.gz` taken as one."""
    name = Path(path).name
    suffix = next((s for s in (".nii.gz", *SUFFIXES) if name.lower().endswith(s)), Path(name).suffix)
    return name[: len(name) - len(suffix)]


def image_name(path: Path | str) -> str:
    """What an image is called: a file by `case_name`, a DICOM series by its folder, dots and all."""
    return os.path.basename(os.path.abspath(path)) if os.path.isdir(path) else case_name(path)


def read_image(path: Path | str, key: str | None = None, *, channels: bool = False, case: str | None = None) -> Image:
    """The voxels of a file, or of a folder of DICOM slices, scaled as the header says, with their geometry.

    HDF5 files hold datasets `image` and `label` (`key` says which, `image` by default); attributes `affine` or
    `spacing` of the dataset or the file give the geometry, 1 mm along the axes where there are none. With `channels` a
    fourth axis of NIfTI is channels (of Decathlon's archives, for one); without, it is time, and refused.

    Raises:
        UserError: E201 no such file; E202 unreadable, truncated or without voxels; E203 NaN or infinite
            voxels; E208 more than one volume; E209 a geometry that is no geometry; E259 as `read_series`.
    """
    path = Path(path)
    if dicom.holds_slices(path):
        return read_series(path, case=case)
    if not path.is_file():
        raise UserError("E201", f"{path} does not exist", "Restore the file, or drop the case", case=case)
    if path.stat().st_size == 0:
        raise UserError("E202", f"{path} is empty (0 bytes)", "Copy the file again, or drop the case", case=case)
    read = reader_of(path)
    if read is None:
        raise UserError("E202", f"{path} is of no known format", f"Known: {', '.join(SUFFIXES)}", case=case)
    try:
        voxels = read(path, nifti.CHANNELS if channels and path.name.lower().endswith(NIFTI) else key or "image")
        array, affine, axes = _plain(voxels.array), voxels.affine, voxels.axes
    except NotOneImage as error:
        raise UserError("E208", f"{path} {error}", "Store one volume per file", case=case) from error
    except NoSuchDataset as error:
        raise UserError("E202", f"{path} {error}", "Name the datasets `image` and `label`", case=case) from error
    except UNREADABLE as error:
        _tell_other_content(path, case)
        cause = f"{path} cannot be read: {str(error).strip() or type(error).__name__}"
        raise UserError("E202", cause, "Copy or export the file again, or drop the case", case=case) from error
    _check_array(array, path, case)
    _check_affine(affine, path, case)
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :axes], axis=0))
    array = np.require(array, requirements=["C", "W"])  # Pillow gives read-only ones, at which PyTorch warns
    return Image(
        array,
        affine,
        spacing,
        voxels.located,
        voxels.order,
        voxels.oriented,
        placed=voxels.placed,
        turned=voxels.turned,
        notes=voxels.notes if right_angled(affine[:3, :axes]) else (*voxels.notes, shear_note(affine, axes)),
    )


def read_series(folder: Path | str, *, case: str | None = None) -> Image:
    """The volume of a folder that holds one DICOM series.

    Raises:
        UserError: E259, what `dicom.read_series` refuses; E203, E209 as `read_image`.
    """
    folder = Path(folder)
    try:
        voxels = dicom.read_series(folder)
        array = _plain(voxels.array)
    except UNREADABLE as error:
        cure = "Give each series a folder of its own, with all of its slices once; a tilted one must be resampled first"
        raise UserError("E259", f"{folder} {str(error).strip()}", cure, case=case) from error
    _check_array(array, folder, case)
    _check_affine(voxels.affine, folder, case)
    spacing = tuple(float(step) for step in np.linalg.norm(voxels.affine[:3, :3], axis=0))
    return Image(np.require(array, requirements=["C", "W"]), voxels.affine, spacing, oriented=True)


def check_image(image: Image, *, case: str | None = None) -> None:
    """Refuse an image that cannot be normalised.

    Raises:
        UserError: E202, all voxels are equal, it shows nothing; E240, values so large that they stand for no data
            (1e20, -3.4e38, the lowest whole number of 32 bits): beside them the scan itself becomes one value.
    """
    low, high = image.array.min(), image.array.max()
    if low == high:
        cause = f"the image is empty: every voxel is {image.array.flat[0]}"
        raise UserError("E202", cause, "Export the image again, or drop the case", case=case)
    largest = low if abs(float(low)) > abs(float(high)) else high
    if abs(float(largest)) >= NO_DATA_FROM:
        count = int(np.count_nonzero(image.array == largest))
        cause = f"{count} voxels of the image are {largest:.4g}, no measured intensity: beside it nothing else shows"
        cure = "Replace what stands for no data, by the background's value for example"
        raise UserError("E240", cause, cure, case=case)


def check_codes(values: np.ndarray, codes: Collection[int], holder: str, cure: str, *, case: str | None = None) -> None:
    """Refuse `values`, found in `holder`, that are not among `codes` (E206), all of them named."""
    strange = [f"{value:.10g}" for value in values.tolist() if value not in codes]
    if strange:
        cause = f"{holder} holds {listed(strange, 20)}; known codes are {', '.join(map(str, sorted(codes)))}"
        raise UserError("E206", cause, cure, case=case)


def distinct_values(array: np.ndarray) -> np.ndarray:
    """The values that occur, sorted; by slices, which is twice as fast as all at once and takes no second volume."""
    return np.unique(np.concatenate([np.unique(part) for part in array]))


def digest_of(array: np.ndarray) -> str:
    """16 hexadecimal digits of shape and values, alike for any type of numbers that holds them."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=8)
    for part in array:  # one slice at a time, or a volume would be held twice
        digest.update(np.ascontiguousarray(part, dtype=np.float64).data)
    return digest.hexdigest()


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def size_text(shape: Sequence[int | float]) -> str:
    """`64x64x48`, for messages."""
    return "x".join(f"{size:g}" if isinstance(size, float) else str(size) for size in shape)


def write_nifti(path: Path | str, array: np.ndarray, affine: np.ndarray, *, oriented: bool = True) -> None:
    """Write `array` (two or three axes, or three and channels) with `affine` (4, 4), whole or not at all.

    Without `oriented` the directions of `affine` are a mere convention, which the file's description says.
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
    vector = array.ndim == 4
    image = nibabel.Nifti1Image(array[:, :, :, np.newaxis] if vector else array, np.asarray(affine, dtype=np.float64))
    if vector:
        image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    if not oriented:
        image.header["descrip"] = UNORIENTED
    with written_aside(path) as aside:
        nibabel.save(image, aside)


def write_nifti_like(path: Path | str, array: np.ndarray, source: Path | str) -> None:
    """Write whole numbers with the header of a NIfTI file, whole or not at all: in its place for every program.

    Args:
        array: on the source's grid, without its channels; an axis of length one, or trailing ones, may be missing.
    """
    header = nifti.read_header(Path(source))
    shape = header.get_data_shape()
    if np.prod(shape) != np.size(array):  # channels
        shape = shape[:3]
        header.set_data_shape(shape)
    stored = np.asarray(array).reshape(shape)
    kind = np.min_scalar_type(int(stored.max())) if stored.size else np.dtype(np.uint8)
    header.set_data_dtype(np.uint8 if kind.itemsize == 1 else np.uint16)
    for name, value in (("scl_slope", np.nan), ("scl_inter", np.nan), ("cal_max", 0), ("cal_min", 0)):
        header[name] = value
    header.set_intent("none")
    header["vox_offset"] = 0
    image = (nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image)(
        stored.astype(header.get_data_dtype()), None, header
    )
    with written_aside(path) as aside:
        nibabel.save(image, aside)


def write_picture(path: Path | str, array: np.ndarray) -> None:
    """Write a picture: (rows, columns, 3) uint8 in colour, or (rows, columns) bool as one bit a pixel."""
    with written_aside(path) as aside:
        Picture.fromarray(array).save(aside)


def _plain(array: np.ndarray) -> np.ndarray:
    """Whole numbers as they are, truth values as uint8, all else as float32."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"voxels are of type {array.dtype}, numbers are needed")
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
        return array.astype(array.dtype.newbyteorder("=") if array.dtype.kind in "iu" else np.float32, copy=False)


def _tell_other_content(path: Path, case: str | None) -> None:
    """Refuse a file whose content is of another format than its suffix says: it may be sound."""
    found = other_content(path)
    if found is not None:
        name, suffix = found
        cure = f"Rename it to {case_name(path)}{suffix}" if suffix else f"Convert it; known are {', '.join(SUFFIXES)}"
        raise UserError("E202", f"{path} cannot be read: it is {name}, not what its suffix says", cure, case=case)


def _check_array(array: np.ndarray, path: Path, case: str | None) -> None:
    if array.size == 0:
        raise UserError("E202", f"{path} has no voxels ({size_text(array.shape)})", "Export the file again", case=case)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        cause = f"{path} has {count} NaN or infinite voxels"
        raise UserError(
            "E203", cause, "Replace them, by the background's value for example, or drop the case", case=case
        )


def _check_affine(affine: np.ndarray, path: Path, case: str | None) -> None:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    sound = np.isfinite(affine).all() and steps.all() and abs(np.linalg.det(affine[:3, :3] / steps)) > SINGULAR_BELOW
    if not sound:
        cause = f"{path} has an affine that is singular or not finite"
        raise UserError("E209", cause, "Export the file with its voxel size and orientation", case=case)
