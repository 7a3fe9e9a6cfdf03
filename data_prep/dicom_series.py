"""A folder with one DICOM series of CT slices to voxels in Hounsfield units. No field of the patient is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from mednoisy.data.formats.itk import LPS_TO_RAS
from mednoisy.data.formats.silence import kept_locale, quiet
from mednoisy.data.image import Image
from mednoisy.errors import UserError

READER = "GDCMImageIO"
POSITION, DIRECTIONS, SERIES = "0020|0032", "0020|0037", "0020|000e"
EVEN_WITHIN = 0.02  # of the slice distance; scanners round positions to a hundredth of a millimetre
TILTED_FROM = 0.01  # millimetres that slices move sideways for each along the normal


@dataclass(frozen=True)
class _Slice:
    path: str
    series: str
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    position: np.ndarray  # of the first pixel, in LPS millimetres
    rows: np.ndarray  # unit steps (2, 3): from pixel to pixel of a row, from row to row


def slice_files(folder: Path) -> list[Path]:
    """The files of a folder at any depth, hidden ones left out, sorted."""
    found = [Path(where, name) for where, _, names in os.walk(folder) for name in names if not name.startswith(".")]
    return sorted(found)


@kept_locale()
def read_series(folder: Path, case: str) -> Image:
    """The volume of the one series in a folder, axes as in its slices (columns, rows, slices), float32.

    Slices are put in order by their positions along their common normal, upwards where they are axial; their distance
    is that of the positions, not the thickness that headers state. Files that are no DICOM image are passed over.

    Raises:
        UserError: E377, no series, more than one, or one whose slices do not make a volume: missing, doubled, of
            several sizes or directions, of a tilted gantry.
    """
    slices = [one for path in slice_files(folder) if (one := _header(path, case)) is not None]
    if len(slices) < 2:
        raise UserError(
            "E377", f"{folder} holds {len(slices)} DICOM slices", "Name the folder of the case's series", case=case
        )
    series = sorted({one.series for one in slices})
    if len(series) > 1:
        cause = f"{folder} holds {len(series)} DICOM series: {', '.join(series)}"
        raise UserError("E377", cause, "Keep the one that was annotated", case=case)
    first = slices[0]
    normal = np.cross(*first.rows)
    for one in slices:
        same = (one.size, one.spacing) == (first.size, first.spacing) and np.allclose(one.rows, first.rows, atol=1e-4)
        if not same:
            cause = f"{one.path} has another size, spacing or direction than {first.path}"
            raise UserError("E377", cause, "Keep the slices of one scan", case=case)
    slices.sort(key=lambda one: float(one.position @ normal))
    affine = _affine(slices, normal, case)
    try:
        with quiet():
            array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage([one.path for one in slices], imageIO=READER)).T
    except RuntimeError as error:  # its text is many lines of ITK's own files and addresses
        raise UserError("E377", f"slices in {folder} cannot be read", "Copy the series again", case=case) from error
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :3], axis=0))
    return Image(np.ascontiguousarray(array, dtype=np.float32), LPS_TO_RAS @ affine, spacing, oriented=True)


def _affine(slices: list[_Slice], normal: np.ndarray, case: str) -> np.ndarray:
    """(4, 4), from indices to LPS millimetres, of slices in order."""
    along = np.array([float(one.position @ normal) for one in slices])
    gaps = np.diff(along)
    step = float(np.median(gaps))
    if uneven := [number for number, gap in enumerate(gaps) if abs(gap - step) > max(EVEN_WITHIN * step, 1e-3)]:
        before, after = slices[uneven[0]], slices[uneven[0] + 1]
        what = "lie in one place" if gaps[uneven[0]] < 1e-3 else f"are {gaps[uneven[0]]:g} mm apart, others {step:g} mm"
        cause = f"{before.path} and {Path(after.path).name} {what} ({len(uneven)} such gaps)"
        raise UserError("E377", cause, "Add the missing slices, or remove doubled ones", case=case)
    if step < 1e-3:
        raise UserError("E377", f"{slices[0].path} and the others lie in one place", "Keep one scan", case=case)
    moved = slices[-1].position - slices[0].position
    if np.linalg.norm(moved - (moved @ normal) * normal) > TILTED_FROM * abs(float(moved @ normal)):
        cause = f"the slices of {Path(slices[0].path).parent} are tilted against their direction (gantry tilt)"
        raise UserError("E377", cause, "Resample the scan to a grid with right angles, as NIfTI", case=case)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = slices[0].rows * np.array(slices[0].spacing)[:2, None]
    affine[:3, 2], affine[:3, 3] = step * normal, slices[0].position
    return affine


def _header(path: Path, case: str) -> _Slice | None:
    """What the header of a slice says of its place; None for a file that is no DICOM image, or one without a place."""
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(READER)
    reader.SetFileName(str(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        if path.name != "DICOMDIR" and _says_dicom(path):
            raise UserError("E377", f"{path} cannot be read", "Copy the series again", case=case) from error
        return None
    if not (reader.HasMetaDataKey(POSITION) and reader.HasMetaDataKey(DIRECTIONS)):
        return None
    position, directions = (_numbers(reader.GetMetaData(tag)) for tag in (POSITION, DIRECTIONS))
    series = reader.GetMetaData(SERIES).strip() if reader.HasMetaDataKey(SERIES) else ""
    rows = directions.reshape(2, 3)
    return _Slice(str(path), series, reader.GetSize()[:2], reader.GetSpacing()[:2], position, rows)


def _says_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _numbers(text: str) -> np.ndarray:
    return np.array([float(part) for part in text.split("\\")])
