"""One case of anybody's folders, written as a prepared dataset has it."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from mednoisy.data.datalist import Case
from mednoisy.data.file_formats import NIFTI
from mednoisy.data.images import Image, write_nifti, write_nifti_like, write_picture
from mednoisy.errors import UserError
from mednoisy.files import written_aside

from .jobs import Job
from .own_labels import LabelReading, classes_of, files_of, on_grid, pictured, read_channels, read_codes


@dataclass(frozen=True)
class OwnJob(Job):
    """A case with any number of channels and classes: images/ID and labels/ID, volumes as .nii.gz, pictures as copies.

    A NIfTI volume of one channel is copied, packed if need be, so that its header stays; several channels become the
    vectors of NIfTI. A label holds the numbers of classes; a picture's of two classes has one bit.

    Attributes:
        images: files, one for each channel; `image` is the first.
        labels: files: one, or one for each class; none without label.
        reading: how these are read.
        codes: the source's code of each class, in the order of classes.
        ignored_as: what codes to be ignored become.
        match: whether a label on another grid is resampled.
        patient: who is shown, empty where nothing says it.
    """

    images: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    reading: LabelReading = field(default_factory=LabelReading)
    codes: tuple[int, ...] = ()
    ignored_as: int = 255
    match: bool = False
    patient: str = ""

    def outputs(self) -> dict[str, Path]:
        picture = pictured(self.images)
        image = self.case + (Path(self.image).suffix.lower() if picture else ".nii.gz")
        outputs = {"image": Path(self.target, "images", image)}
        if not self.labels:
            return outputs
        return outputs | {"label": Path(self.target, "labels", f"{self.case}{'.png' if picture else '.nii.gz'}")}

    def sources(self) -> tuple[str, ...]:
        return files_of((*self.images, *self.labels))

    def entry(self) -> Case:
        return super().entry() | ({"patient": self.patient} if self.patient else {})

    def prepare(self) -> list[str]:
        """Read, check and write; what was noticed has been told already."""
        image = read_channels(self.images, self.case)
        self._write_image(image)
        if self.labels:
            label, _ = read_codes(self.labels, self.reading, self.case)
            fitted = on_grid(image, label, match=self.match)
            if isinstance(fitted, str):
                cause = f"label {self.labels[0]} {fitted}"
                raise UserError("E256", cause, "The file has changed meanwhile: call again", case=self.case)
            self._write_label(image, fitted)
        return []

    def _write_image(self, image: Image) -> None:
        path, source = self.outputs()["image"], Path(self.image)
        volume = len(self.images) == 1 and image.array.ndim == len(image.spacing)
        if not pictured(self.images) and not (volume and source.name.lower().endswith(NIFTI)):
            write_nifti(path, image.array, image.affine, oriented=image.oriented)
            return
        with written_aside(path) as aside:
            if source.suffix.lower() == ".nii":
                with (
                    open(source, "rb") as plain,
                    open(aside, "wb") as file,
                    gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
                ):
                    shutil.copyfileobj(plain, packed)
            else:
                shutil.copyfile(source, aside)

    def _write_label(self, image: Image, label: Image) -> None:
        path, written = self.outputs()["label"], self.outputs()["image"]
        classes = classes_of(label.array, self.codes, self.reading.ignore, self.ignored_as)
        if pictured(self.images):
            two = len(self.codes) == 2 and not self.reading.ignore
            write_picture(path, classes > 0 if two else classes)
        else:
            write_nifti_like(path, classes, written)
