"""DICOM series with fields of a patient, which SimpleITK's GDCM writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from mednoisy.data.formats.silence import kept_locale

PRIVATE = {
    "0010|0010": "Mustermann^Erika",
    "0010|0020": "PID4711",
    "0010|0030": "19640812",
    "0008|0090": "Doktor^Eisenbarth",
    "0008|0080": "Klinikum Irgendwo",
}
AXES = np.array([[1.0, 0, 0], [0, 1, 0]])  # of rows and columns, in LPS
SIZE = (7, 6, 5)


def voxels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 900, SIZE).astype(np.int16)


@kept_locale()
def series(folder: str, seed: int = 0, places=None, number: int = 1, change=lambda index, image: image) -> np.ndarray:
    """Slices in files whose names say nothing of their order; `places` of them (slices, 3) in LPS mm.

    `change` gives the image that is written in the place of one.
    """
    array = voxels(seed)
    places = [(10.0, 20, -30 + 2.5 * index) for index in range(SIZE[2])] if places is None else places
    Path(folder).mkdir(parents=True, exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, place in enumerate(places):
        image = SimpleITK.GetImageFromArray(array[:, :, index : index + 1].T)
        image.SetSpacing((0.8, 0.9, 2.5))
        image.SetOrigin([float(x) for x in place])
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0020|000e": f"1.2.3.{seed}.{number}",
            "0020|000d": f"1.2.3.{seed}",
            "0008|0018": f"1.2.3.{seed}.{number}.{index + 1}",
            "0020|0032": "\\".join(f"{x:g}" for x in place),
            "0020|0037": "\\".join(f"{x:g}" for x in AXES.ravel()),
            "0020|0013": str(index + 1),
            **PRIVATE,
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        image = change(index, image)
        writer.SetFileName(f"{folder}/IM{(index * 3) % 7}_{number}.dcm")
        writer.Execute(image)
    return array


def oblique_series(folder: str, *, downwards: bool = False, tags=None, rounded_in: int | None = None) -> np.ndarray:
    """A series whose slices are turned about two axes, with all that a segmentation refers to.

    `downwards`: slices are numbered against their normal. `tags` besides, or in the place of others (none where they
    are empty). `rounded_in`: the slice that states its directions to four digits.
    """
    about_x, about_z = np.radians(20), np.radians(35)
    tilted = np.array([[1, 0, 0], [0, np.cos(about_x), -np.sin(about_x)], [0, np.sin(about_x), np.cos(about_x)]])
    turned = np.array([[np.cos(about_z), -np.sin(about_z), 0], [np.sin(about_z), np.cos(about_z), 0], [0, 0, 1]])
    row, column, normal = (turned @ tilted).T
    steps = range(SIZE[2])[:: -1 if downwards else 1]
    places = [np.array([-41.25, 17.5, 230.125]) + 2.5 * step * normal for step in steps]

    def change(index, image):
        digits = 4 if index == rounded_in else 12
        stated = {
            "0020|0032": "\\".join(f"{x:.10f}" for x in places[index]),
            "0020|0037": "\\".join(f"{x:.{digits}f}" for x in (*row, *column)),
            "0020|0052": "1.2.3.52",
            **(tags or {}),
        }
        for key, value in stated.items():
            if value:
                image.SetMetaData(key, value)
            else:
                image.EraseMetaData(key)
        return image

    return series(folder, 1, places, change=change)
