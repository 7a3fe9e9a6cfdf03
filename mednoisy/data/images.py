"""Every file format to an array with its geometry, and NIfTI and pictures back. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image as Picture

from mednoisy.data.file_formats import SUFFIXES, UNORIENTED, UNREADABLE, NoSuchDataset, NotOneImage, reader_of
from mednoisy.errors import UserError
from mednoisy.files import written_aside

SAME_PLACE = 0.01  # how many voxels the corners of grids that count as one may lie apart
SINGULAR_BELOW = 1e-6  # the volume that the directions of an affine span; that of right angles is 1


@dataclass(frozen=True)
class Image:
    """Voxels and where they lie.

    Attributes:
        array: (*spatial), or (*spatial, channels) for a picture in colour. Two or three spatial axes;
            a picture's are rows and columns. Whole numbers stay whole, all else is float32.
        affine: (4, 4), from voxel indices to millimetres (or pixels, where a file knows no size).
        spacing: the distance between neighbouring voxels along each spatial axis.
        located: whether the file says how large its voxels are or where they lie; False for pictures, and for HDF5
            and NRRD files without a word of it. `affine` is a mere convention then.
        order: of the stored axes by the format's convention: "xyz" for volumes, "rows" (then columns) for pictures,
            "unknown" for HDF5.
        oriented: whether the file says where the patient's right, front and top are; False for pictures, for NIfTI
            with neither qform nor sform, for HDF5 without `affine`, for NRRD without an anatomical space.
    """

    array: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]
    located: bool = True
    order: str = "xyz"
    oriented: bool = False

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
            voxels; E208 more than one volume; E209 a geometry that is no geometry.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("E201", f"{path} does not exist", "Restore the file, or drop the case", case=case)
    if path.stat().st_size == 0:
        raise UserError("E202", f"{path} is empty (0 bytes)", "Copy the file again, or drop the case", case=case)
    read = reader_of(path)
    if read is None:
        raise UserError("E202", f"{path} is of no known format", f"Known: {', '.join(SUFFIXES)}", case=case)
    try:
        voxels = read(path, key or "image")
        array, affine, axes = _plain(voxels.array), voxels.affine, voxels.axes
    except NotOneImage as error:
        raise UserError("E208", f"{path} {error}", "Store one volume per file", case=case) from error
    except NoSuchDataset as error:
        raise UserError("E202", f"{path} {error}", "Name the datasets `image` and `label`", case=case) from error
    except UNREADABLE as error:
        cause = f"{path} cannot be read: {error or type(error).__name__}"
        raise UserError("E202", cause, "Copy or export the file again, or drop the case", case=case) from error
    _check_array(array, path, case)
    _check_affine(affine, path, case)
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :axes], axis=0))
    array = np.require(array, requirements=["C", "W"])  # Pillow gives read-only ones, at which PyTorch warns
    return Image(array, affine, spacing, voxels.located, voxels.order, voxels.oriented)


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
        cure = "Re-export the label on the image's grid, or drop the case"
        if image.order == "rows" and image.shape == label.array.shape[::-1]:
            cure = "One of them is turned, perhaps by its EXIF orientation, which is heeded: store both upright"
        raise UserError("E204", cause, cure, case=case)
    apart = corners_apart_mm(image.shape, image.affine, label.affine)
    if apart > SAME_PLACE * min(image.spacing):
        cause = f"image and label have different affines (corners up to {apart:.3g} mm apart)"
        raise UserError("E205", cause, "Re-export the label on the image's grid, or drop the case", case=case)
    cure = "Mend the label, or name the code in `labels` of the datalist and in `label_names` (--dataset FILE)"
    check_codes(distinct_values(label.array), codes, "label", cure, case=case)


def check_codes(values: np.ndarray, codes: Collection[int], holder: str, cure: str, *, case: str | None = None) -> None:
    """Refuse `values`, found in `holder`, that are not among `codes` (E206), all of them named."""
    strange = [f"{value:.10g}" for value in values.tolist() if value not in codes]
    if strange:
        cause = f"{holder} holds {listed(strange, 20)}; known codes are {', '.join(map(str, sorted(codes)))}"
        raise UserError("E206", cause, cure, case=case)


def distinct_values(array: np.ndarray) -> np.ndarray:
    """The values that occur, sorted; by slices, which is twice as fast as all at once and takes no second volume."""
    return np.unique(np.concatenate([np.unique(part) for part in array]))


def corners_apart_mm(shape: Sequence[int], first: np.ndarray, second: np.ndarray) -> float:
    """The largest distance between the same corner of a grid under two affines (4, 4); two or three axes."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in (*shape, 1)[:3]], [1])).reshape(4, -1)
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def write_nifti(path: Path | str, array: np.ndarray, affine: np.ndarray, *, oriented: bool = True) -> None:
    """Write `array` (two or three axes) with `affine` (4, 4), whole or not at all.

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
    image = nibabel.Nifti1Image(array, np.asarray(affine, dtype=np.float64))
    image.header.set_xyzt_units("mm")
    if not oriented:
        image.header["descrip"] = UNORIENTED
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


def _check_array(array: np.ndarray, path: Path, case: str | None) -> None:
    if array.size == 0:
        raise UserError("E202", f"{path} has no voxels ({_by(array.shape)})", "Export the file again", case=case)
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


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
