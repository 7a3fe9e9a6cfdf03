"""A miniature of the NIH's pancreas archive with real bytes: DICOM series, labels whose headers say another place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from mednoisy.data.formats.silence import kept_locale
from mednoisy.data.images import write_nifti

SHAPE, SPACING = (60, 36, 20), (1.5, 1.5, 2.5)  # columns, rows, slices; mm
PANCREAS = (slice(12, 24), slice(10, 20), slice(4, 12))
NAME, BORN = "Doe^Jane Unmistakable", "19381224"


def body(seed: int) -> np.ndarray:
    """(columns, rows, slices), HU: fat with a pancreas off its middle, lung behind, bone, air around."""
    generator = np.random.default_rng(seed)
    volume = np.full(SHAPE, -1000.0)
    volume[4:56, 3:33] = -90
    volume[4:56, 24:33] = -700
    volume[28:32, 28:32] = 700
    volume[PANCREAS] = 110
    return (volume + generator.normal(0, 5, SHAPE)).astype(np.int16)


@kept_locale()
def write_series(folder: Path, volume: np.ndarray, series: str = "1.2.3", first: int = 0) -> None:
    """DICOM slices from the top down, with a patient's name and date of birth, file names in another order."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    slices = volume.shape[2]
    for number in range(slices):
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume[:, :, number].T))
        image.SetSpacing(SPACING[:2])
        place = (-30.0, -25.0, 100.0 + SPACING[2] * number)
        fields = {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{number + first}",
            "0010|0010": NAME,
            "0010|0030": BORN,
            "0018|0050": "1",  # the thickness is not the distance
            "0020|000d": "1.2",
            "0020|000e": series,
            "0020|0013": str(slices - number),
            "0020|0032": "\\".join(map(str, place)),
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in fields.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{(number * 7) % slices + first:03d}.dcm"))
        writer.Execute(image)


def write_case(raw: Path, case: str, seed: int, *, flipped: tuple[int, ...] = ()) -> np.ndarray:
    """A case as the archive has it; the volume."""
    volume = body(seed)
    write_series(raw / "Pancreas-CT" / f"PANCREAS_{case}" / "study" / "series", volume)
    label = np.zeros(SHAPE, np.uint8)
    label[PANCREAS] = 1
    affine = np.diag([*SPACING, 1.0])  # RAS from the corner, where the slices are LPS
    write_nifti(raw / "TCIA_pancreas_labels-02-05-2017" / f"label{case}.nii.gz", np.flip(label, flipped), affine)
    return volume
