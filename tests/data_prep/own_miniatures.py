"""Folders as `mednoisy prepare own` takes them, in every layout, below the current folder, with real bytes.

Each holds two cases with a label, where not said otherwise, and one without.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import SimpleITK
from PIL import Image as Picture

from mednoisy.data.images import write_nifti
from tests.data.formats.dicom_files import SIZE as SERIES_SHAPE
from tests.data.formats.dicom_files import series
from tests.data_prep.own_files import SHAPE, label, scan

SERIES_PLACE = np.array([[-0.8, 0, 0, -10], [0, -0.9, 0, -20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
FOLDERS = ["--images", "scans", "--labels", "masks"]


def folders(ending: str = ".nii.gz") -> None:
    """Two folders whose names pair by what they share."""
    for number in (1, 2, 3):
        scan(Path(f"scans/Patient {number:02} MR{ending}"), number)
    for number in (1, 2):
        label(Path(f"masks/Patient {number:02} seg{ending}"), 1, 2)


def one_folder() -> None:
    """Labels beside their images."""
    for number in (1, 2, 3):
        scan(Path(f"scans/scan{number}.nii.gz"), number)
    for number in (1, 2):
        label(Path(f"scans/scan{number}_seg.nii.gz"), 1)


def files_of_classes() -> None:
    """A file for each class."""
    folders()
    for number in (1, 2):
        label(Path(f"organs/liver/Patient {number:02} liver.nii.gz"), 255)
        label(Path(f"organs/tumour/{number:02}.nii.gz"), 0, 1)


def images_and_labels() -> None:
    """A folder of images/ and labels/ under the same names."""
    for number in (1, 2, 3):
        scan(Path(f"T/images/{number}.nii.gz"), number)
    for number in (1, 2):
        label(Path(f"T/labels/{number}.nii.gz"), 1)


def decathlon() -> None:
    """Four channels in a file of four axes, and a `test` list without references."""
    names = {n: f"BRATS_{n}.nii.gz" for n in (1, 2, 9)}
    for number, name in names.items():
        scan(Path(f"T/images{'Ts' if number == 9 else 'Tr'}/{name}"), number, shape=(*SHAPE, 4))
    for number in (1, 2):
        label(Path(f"T/labelsTr/{names[number]}"), 1, 2)
    table = {
        "name": "BRATS",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "tumour"},
        "training": [{"image": f"./imagesTr/{names[n]}", "label": f"./labelsTr/{names[n]}"} for n in (1, 2)],
        "test": [f"./imagesTs/{names[9]}"],
    }
    Path("T/dataset.json").write_text(json.dumps(table))


def nnunet() -> None:
    """Two channels in files of their own, and a mark of what nobody looked at."""
    for number, part in ((1, "Tr"), (2, "Tr"), (7, "Ts")):
        for channel in (0, 1):
            scan(Path(f"T/images{part}/liver_{number}_000{channel}.nii.gz"), 10 * number + channel)
    for number in (1, 2):
        label(Path(f"T/labelsTr/liver_{number}.nii.gz"), 1, 2)
    table = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "liver": 1, "ignore": 2}}
    Path("T/dataset.json").write_text(json.dumps(table | {"numTraining": 2, "file_ending": ".nii.gz"}))


def dicom() -> None:
    """A series a case, with labels as NIfTI."""
    for number in (1, 2, 3):
        series(f"scans/Case {number}", number)
    for number in (1, 2):
        array = np.zeros(SERIES_SHAPE, np.uint8)
        array[2:5, 2:4, 1:4] = 1
        write_nifti(f"masks/Case {number} seg.nii.gz", array, SERIES_PLACE)


def converted(ending: str) -> Callable[[], None]:
    """Two folders of another format."""

    def write() -> None:
        folders(".nii")
        for path in [*Path("scans").iterdir(), *Path("masks").iterdir()]:
            other = path.with_suffix(ending)
            if ending == ".h5":
                with h5py.File(other, "w") as file:
                    file["image" if path.parent.name == "scans" else "label"] = nibabel.load(path).get_fdata()
                    file.attrs["spacing"] = (1.0, 1.0, 2.5)
            else:
                SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(other))
            path.unlink()

    return write


def pictures(ending: str) -> Callable[[], None]:
    """Pictures in colour with masks of white."""

    def write() -> None:
        mask = np.zeros((36, 40), np.uint8)
        mask[5:22, 6:25] = 255
        for number in (1, 2, 3):
            picture = np.random.default_rng(number).integers(0, 255, (*mask.shape, 3)).astype(np.uint8)
            for part, name, array in (("scans", f"IMG {number}{ending}", picture), ("masks", f"m{number}.png", mask)):
                if (part, number) != ("masks", 3):
                    Path(part).mkdir(exist_ok=True)
                    Picture.fromarray(array).save(Path(part) / name)

    return write


OWN: dict[str, tuple[Callable[[], None], list[str]]] = {
    "two folders": (folders, FOLDERS),
    "one folder": (one_folder, ["--images", "scans", "--label-suffix", "_seg"]),
    "files of classes": (
        files_of_classes,
        ["--images", "scans", "--labels", "liver=organs/liver", "tumour=organs/tumour"],
    ),
    "images and labels": (images_and_labels, ["--from", "T"]),
    "decathlon": (decathlon, ["--from", "T"]),
    "nnunet": (nnunet, ["--from", "T"]),
    "dicom": (dicom, FOLDERS),
    "nrrd": (converted(".nrrd"), FOLDERS),
    "meta image": (converted(".mha"), FOLDERS),
    "hdf5": (converted(".h5"), FOLDERS),
    "png": (pictures(".png"), FOLDERS),
    "tiff": (pictures(".tif"), [*FOLDERS, "--link"]),
}
