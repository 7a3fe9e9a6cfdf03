"""Miniatures of published archives, in every layout in which these are unpacked, with real bytes."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image as Picture

from data_prep import acdc, left_atrium
from mednoisy.data.images import read_image, write_nifti

PATIENTS = json.loads(acdc.SPLIT.read_text())
HEARTS = [*PATIENTS["train"][3::-1], PATIENTS["val"][0], PATIENTS["test"][0]]  # four of training in reverse order
HEART_GRID = np.diag([1.5, 1.5, 10, 1])
ATRIA = json.loads(left_atrium.SPLIT.read_text())
ATRIUM_GRID = np.diag([0.625] * 3 + [1])

SIZE = (12, 16)  # of pictures
MASK = np.zeros(SIZE, np.uint8)
MASK[3:9, 4:12] = 255
SPLIT = {"train": [f"t{n:02}" for n in range(8)], "val": ["v0", "v1"], "test_seen": ["s0", "s1"], "test": ["u0"]}


def heart(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(10, 900, (8, 9, 3)).astype(np.int16)


def acdc_published(raw: Path) -> None:
    """Two frames of six patients, the second without a reference for one of them."""
    for number, patient in enumerate(HEARTS):
        folder = raw / "training" / patient
        write_nifti(folder / f"{patient}_4d.nii.gz", heart(0), HEART_GRID)
        for frame in ("frame12", "frame01"):
            write_nifti(folder / f"{patient}_{frame}.nii.gz", heart(number), HEART_GRID)
            if (number, frame) != (0, "frame12"):
                write_nifti(folder / f"{patient}_{frame}_gt.nii.gz", heart(number) % 4, HEART_GRID)


def acdc_flat(raw: Path) -> None:
    """The same in folders of images and labels."""
    published = raw.with_name(f"{raw.name}_published")
    acdc_published(published)
    for path in (published / "training").rglob("*_frame??*.nii.gz"):
        part = "labels" if "_gt" in path.name else "images"
        (raw / part).mkdir(parents=True, exist_ok=True)
        (raw / part / path.name.replace("_gt", "")).write_bytes(path.read_bytes())


def atria(raw: Path) -> None:
    """Three training cases in reverse order, the last without a label, and one test case."""
    generator = np.random.default_rng(0)
    for case in [*ATRIA["train"][2::-1], ATRIA["test"][0]]:
        image = generator.standard_normal((12, 8, 10)).astype(np.float32)
        write_nifti(raw / "images" / f"{case}.nii.gz", image, ATRIUM_GRID)
        if case != ATRIA["train"][2]:
            write_nifti(raw / "labels" / f"{case}.nii.gz", image > 0, ATRIUM_GRID)


def atria_hdf5(raw: Path) -> None:
    """The same as HDF5, which states no spacing; a file without `label` is an unlabeled case."""
    nifti = raw.with_name(f"{raw.name}_nifti")
    atria(nifti)
    for path in (nifti / "images").iterdir():
        case = path.name.removesuffix(".nii.gz")
        (raw / case).mkdir(parents=True)
        with h5py.File(raw / case / "mri_norm2.h5", "w") as file:
            file["image"] = read_image(path).array
            if (nifti / "labels" / path.name).exists():
                file["label"] = read_image(nifti / "labels" / path.name).array


def colours(name: str) -> np.ndarray:
    return np.random.default_rng(sum(name.encode())).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def write_pair(folder: Path, image: str, mask: str | None, masks: str = "masks", images: str = "images") -> None:
    """A picture that differs by its name, and perhaps a mask."""
    for part, name, array in ((images, image, colours(image)), (masks, mask, MASK)):
        if name is not None:
            (folder / part).mkdir(parents=True, exist_ok=True)
            Picture.fromarray(array).save(folder / part / name)


def split_pictures(raw: Path) -> None:
    """Twelve pictures of two centres and one of a third, with a split and a table of centres."""
    for case in [case for cases in SPLIT.values() for case in cases]:
        write_pair(raw, f"{case}.png", f"{case}.jpg")
    (raw / "split.json").write_text(json.dumps(SPLIT))
    centres = {"u0": "C4", "s1": "C2", **{f"t{n:02}": "C2" for n in (0, 5)}}
    rows = [f"{case},{centres.get(case, 'C1')}" for cases in SPLIT.values() for case in cases]
    (raw / "cases.csv").write_text("\n".join(["id,centre", *rows]))


def isic2017(raw: Path) -> None:
    """Two training pictures, one of them without its mask, and two of the test; superpixels beside them."""
    for name, masks in (("ISIC-2017_Training", "1"), ("ISIC-2017_Test_v2", "34")):
        for number in {"ISIC-2017_Training": "12", "ISIC-2017_Test_v2": "34"}[name]:
            case, folders = f"ISIC_000000{number}", {"images": f"{name}_Data", "masks": f"{name}_Part1_GroundTruth"}
            mask = f"{case}_{'S' if number == '1' else 's'}egmentation.png" if number in masks else None
            write_pair(raw, f"{case}.jpg", mask, **folders)
            write_pair(raw, f"{case}_superpixels.png", None, **folders)


def pranet(raw: Path) -> None:
    """A training picture of each collection, and a test picture of two."""
    for name in ("12", "cju0"):
        write_pair(raw / "TrainDataset", f"{name}.png", f"{name}.png", images="image", masks="mask")
    for collection in ("Kvasir", "ETIS-LaribPolypDB"):
        write_pair(raw / "TestDataset" / collection, "12.png", "12.png")
