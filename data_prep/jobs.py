"""One case of a dataset to prepare: what it is made from, how, and which files it becomes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mednoisy.data.datalist import Case
from mednoisy.data.image_pairs import check_pair, pair_notes
from mednoisy.data.images import Image, check_image, read_image, write_nifti, write_picture
from mednoisy.data.label_maps import read_label_map, read_reference
from mednoisy.files import written_aside

from .resampling import resample

BINARY = (0, 1)
REVISION = 1  # raise it when the same source gives other files


@dataclass(frozen=True)
class Job:
    """One case to prepare, and what it is made from.

    Attributes:
        case: its id.
        image, label: source files; they may be the same HDF5 file. No label: None.
        target: the prepared folder.
    """

    case: str
    image: str
    label: str | None
    target: str

    def outputs(self) -> dict[str, Path]:
        """The files written, by `image` and `label`."""
        raise NotImplementedError

    def prepare(self) -> list[str]:
        """Read, check and write the case; what is worth knowing of it, texts that follow its id."""
        raise NotImplementedError

    def entry(self) -> Case:
        """The case in a datalist."""
        return {"id": self.case, **{part: str(path.absolute()) for part, path in self.outputs().items()}}

    def sources(self) -> Sequence[str | Path]:
        """The files that the case is made from."""
        return [path for path in (self.image, self.label) if path is not None]

    def stamp(self) -> str:
        """16 hexadecimal digits that change with the source files (size and time) and the settings."""
        files = [Path(path).stat() for path in self.sources()]
        settings = {key: value for key, value in asdict(self).items() if key != "target"}
        facts = [REVISION, settings, [(file.st_size, file.st_mtime_ns) for file in files]]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class VolumeJob(Job):
    """A volume, written as images/ID.nii.gz and labels/ID.nii.gz.

    Attributes:
        codes: the label codes that may occur.
        spacing_mm: of the result along every axis; None keeps the source's grid.
        source_spacing_mm: where the source files state no geometry, their true spacing; None trusts them.
    """

    codes: tuple[int, ...]
    spacing_mm: float | None = None
    source_spacing_mm: float | None = None

    def outputs(self) -> dict[str, Path]:
        parts = ["image"] if self.label is None else ["image", "label"]
        return {part: Path(self.target, f"{part}s", f"{self.case}.nii.gz") for part in parts}

    def intensities(self, array: np.ndarray) -> np.ndarray:
        """The image's values as they are stored; here those of the source."""
        return array.astype(np.float32)

    def prepare(self) -> list[str]:
        """Read, check, resample and write."""
        parts = {"image": read_image(self.image, "image", case=self.case)}
        check_image(parts["image"], case=self.case)
        notes = [*parts["image"].notes]
        if self.label is not None:
            parts["label"] = read_reference(self.label, self.codes, case=self.case)
            notes += pair_notes(parts["image"], parts["label"])
            parts["label"] = check_pair(parts["image"], parts["label"], self.codes, case=self.case)
        for part, image in parts.items():
            if self.source_spacing_mm is not None:
                affine = np.diag([self.source_spacing_mm] * 3 + [1.0])
                spacing = (self.source_spacing_mm,) * len(image.shape)
                image = Image(image.array, affine, spacing, oriented=image.oriented)
            if self.spacing_mm is not None:
                image = resample(image, self.spacing_mm, labels=part == "label")
            array = image.array.astype(np.uint8) if part == "label" else self.intensities(image.array)
            write_nifti(self.outputs()[part], array, image.affine, oriented=image.oriented)
        return notes


@dataclass(frozen=True)
class PictureJob(Job):
    """A picture: a copy of its file as images/ID.SUFFIX, and its mask as labels/ID.png of one bit, at native size.

    Attributes:
        void: a code of masks that stands for pixels outside the picture's field; they are background. None: none.
    """

    void: int | None = None

    def outputs(self) -> dict[str, Path]:
        outputs = {"image": Path(self.target, "images", self.case + Path(self.image).suffix.lower())}
        return outputs if self.label is None else outputs | {"label": Path(self.target, "labels", f"{self.case}.png")}

    def prepare(self) -> list[str]:
        """Read and check both files, copy the one and cut the other at 127."""
        notes = []
        image = read_image(self.image, case=self.case)
        check_image(image, case=self.case)
        if self.label is not None:
            mask = self._mask(self.label)
            check_pair(image, mask, BINARY, case=self.case)
            notes = [f"picture and mask {note}" for note in pair_notes(image, mask)]
            write_picture(self.outputs()["label"], mask.array > 0)
        with written_aside(self.outputs()["image"]) as aside:
            shutil.copyfile(self.image, aside)
        return notes

    def _mask(self, path: str) -> Image:
        if self.void is None:
            return read_reference(path, BINARY, case=self.case)
        return read_label_map(path, BINARY, {self.void: 0}, case=self.case).image
