"""DICOM series, one a folder, by SimpleITK's GDCM. Nothing but voxels and their place is taken from the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mednoisy.data.formats.itk import LPS_TO_RAS
from mednoisy.data.formats.silence import kept_locale, quiet
from mednoisy.data.formats.voxels import Voxels

START, MARK = 128, b"DICM"
DIRECTORY = "DICOMDIR"  # a table of contents, no image
IMAGE_IO = "GDCMImageIO"
SAME_DIRECTION = 1e-3  # by how much cosines of two slices may differ
SAME_SPACING = 1e-4  # mm by which pixels of two slices may differ
UNEVEN = 0.1  # of a step between slices, by which another one may differ
TILTED_FROM = 0.5  # degrees between the stack and the normal of its slices


def is_dicom(path: Path) -> bool:
    """Whether a file is a DICOM image, by what it holds."""
    if path.name == DIRECTORY or path.name.startswith(".") or not path.is_file():  # a link to nothing, for one
        return False
    with open(path, "rb") as file:
        return file.read(START + len(MARK))[START:] == MARK


def holds_slices(folder: Path) -> bool:
    """Whether a folder itself holds a DICOM image."""
    return folder.is_dir() and any(is_dicom(path) for path in sorted(folder.iterdir()))


def series_folders(folder: Path) -> list[Path]:
    """The folders below `folder`, itself included, that hold DICOM images, sorted."""
    found = []
    for where, below, _ in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        if holds_slices(Path(where)):
            found.append(Path(where))
    return sorted(found)


@kept_locale()
def read_series(folder: Path) -> Voxels:
    """The volume of a folder that holds one series; axes as stored, slices along the patient.

    Raises:
        ValueError: as `stacked_slices`; slices that cannot be read together, several values for each voxel.
    """
    import SimpleITK

    names, affine = stacked_slices(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO(IMAGE_IO)
    reader.SetFileNames(names)
    try:
        with quiet():
            array = SimpleITK.GetArrayFromImage(reader.Execute()).T
    except RuntimeError as fault:  # its text is many lines of ITK's own files
        raise ValueError("its slices cannot be read together: one is damaged, or of another size") from fault
    if array.ndim != 3:
        raise ValueError("holds several values for each voxel, wanted one")
    return Voxels(array, affine, 3, oriented=True)


@kept_locale()
def stacked_slices(folder: Path) -> tuple[list[str], np.ndarray]:
    """The files of a folder that holds one series, in the order of the volume's slices, and its affine (4, 4) to RAS.

    Raises:
        ValueError: with the cause: several series, no or several images a file, slices that differ, are missing, there
            twice, or stacked aslant (a tilted gantry). Slices are called by their number along the stack, series by
            theirs, never by what the files say of a patient.
    """
    import SimpleITK

    with quiet():
        series = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        counts = [len(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), one)) for one in series]
        texts = ", ".join(f"series {number} with {count} files" for number, count in enumerate(counts, 1))
        raise ValueError(f"holds {len(series)} DICOM series{f' ({texts})' if texts else ''}, wanted one")
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    _refuse_passed_over(folder, names)
    origins, axes, spacing = _headers(names)
    order, step = _stacked(origins, axes)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = axes[0] * spacing[0], axes[1] * spacing[1], step
    lps[:3, 3] = origins[order[0]]
    return [names[place] for place in order], LPS_TO_RAS @ lps


def _refuse_passed_over(folder: Path, names: Sequence[str]) -> None:
    """GDCM says nothing of a file that it cannot parse: of the first or the last slice, nobody would miss it."""
    known = {Path(name).name for name in names}
    if damaged := sorted(path.name for path in folder.iterdir() if path.name not in known and is_dicom(path)):
        others = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise ValueError(
            f"holds {damaged[0]}{others}, DICOM that is damaged or no image: copy it again or take it away"
        )


def _headers(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Place of each slice (slices, 3), directions of rows and columns (2, 3), and the size of pixels, in mm."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(IMAGE_IO)
    origins, directions, sizes, spacings = [], [], [], []
    for number, name in enumerate(names, 1):
        reader.SetFileName(name)
        try:
            with quiet():
                reader.ReadImageInformation()
        except RuntimeError as fault:
            raise ValueError(f"file {number} of {len(names)} of its series is damaged or no image") from fault
        size, matrix = reader.GetSize(), np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)
        if len(size) < 3 or size[2] != 1:
            raise ValueError(f"file {number} of {len(names)} of its series holds no single slice with its place")
        origins.append(reader.GetOrigin())
        directions.append(matrix[:, :2].T)
        sizes.append(size[:2])
        spacings.append(reader.GetSpacing()[:2])
    for number, (direction, of_slice, spacing) in enumerate(zip(directions, sizes, spacings, strict=True), 1):
        alike = of_slice == sizes[0] and np.allclose(spacing, spacings[0], rtol=0, atol=SAME_SPACING)
        if np.abs(direction - directions[0]).max() > SAME_DIRECTION or not alike:
            raise ValueError(
                f"file {number} of {len(names)} of its series has another size or direction than the first"
            )
    return np.array(origins), directions[0], (float(spacings[0][0]), float(spacings[0][1]))


def _stacked(origins: np.ndarray, axes: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The order of slices along their normal, and the step from one to the next (3,), in mm."""
    normal = np.cross(axes[0], axes[1])
    places = origins @ normal
    order = [int(place) for place in np.argsort(places, kind="stable")]
    if len(order) == 1:
        raise ValueError("holds one slice, no volume")
    steps = np.diff(places[order])
    usual = float(np.median(steps))
    for number, step in enumerate(steps, 1):
        at = f"slices {number} and {number + 1} of {len(order)} (at {places[order[number - 1]]:.2f} mm)"
        if step <= UNEVEN * max(usual, 1e-6):
            raise ValueError(f"{at} are at one place: one is there twice")
        if step > (1 + UNEVEN) * usual:
            raise ValueError(f"{at} are {step:.3g} mm apart, others {usual:.3g}: a slice is missing")
        if step < (1 - UNEVEN) * usual:
            raise ValueError(f"{at} are {step:.3g} mm apart, others {usual:.3g}: slices are uneven")
    whole = (origins[order[-1]] - origins[order[0]]) / (len(order) - 1)
    tilt = float(np.degrees(np.arccos(np.clip(whole @ normal / np.linalg.norm(whole), -1, 1))))
    if tilt > TILTED_FROM:
        raise ValueError(f"its slices are stacked {tilt:.3g} degrees off their normal: the gantry was tilted")
    return order, whole
