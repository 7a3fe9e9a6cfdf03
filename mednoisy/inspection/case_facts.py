"""What one case of a dataset holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from mednoisy.data.datalist import Case
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import NO_DATA_FROM, Image, digest_of, read_image
from mednoisy.data.label_maps import read_reference, stored_codes
from mednoisy.errors import REFUSED, UserError
from mednoisy.report.pictures.case_arrays import CaseArrays

NOT_STATED = "not stated"


@dataclass(frozen=True)
class CaseFacts:
    """What a case holds; `fault` says why it cannot be read, and all else is empty then.

    Attributes:
        shape, spacing: of the image, in the order of its file.
        orientation: where its axes lead ("LPS"), or that the file does not state it.
        located: whether the file says how large its voxels are.
        lowest, highest: intensity.
        no_data: intensities that stand for no data (1e20, -3.4e38), each with its number of voxels.
        voxels: number by class, of a case with a label.
        voxel_size: mm³ (mm² of a slice) of a voxel, 1 where none is stated.
        image_digest, label_digest: 16 hexadecimal digits of the values.
    """

    id: str
    section: str
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    channels: int = 1
    orientation: str = NOT_STATED
    located: bool = False
    lowest: float = 0.0
    highest: float = 0.0
    no_data: tuple[tuple[float, int], ...] = ()
    voxels: Mapping[int, int] | None = None
    voxel_size: float = 1.0
    image_digest: str = ""
    label_digest: str = ""
    fault: str = ""

    @property
    def empty(self) -> bool:
        """Whether its label shows nothing."""
        return self.voxels is not None and not any(count for code, count in self.voxels.items() if code)


def look_at(
    case: Case, section: str, codes: Mapping[int, str], ignore: tuple[int, ...] = ()
) -> tuple[CaseFacts, CaseArrays | None]:
    """The facts of a case, and its arrays to be pictured; None where it cannot be read."""
    try:
        image = read_image(case["image"], "image", channels=True, case=case["id"])
        label = None
        if "label" in case:
            label = read_reference(case["label"], codes, ignore=ignore, stored=stored_codes(case), case=case["id"])
            label = check_pair(image, label, {*codes, IGNORED} if ignore else codes, case=case["id"])
    except UserError as fault:
        if fault.exit_code != REFUSED:
            raise
        return CaseFacts(case["id"], section, fault=str(fault)), None
    return _facts(case["id"], section, image, label, codes), _arrays(image, label)


def _facts(name: str, section: str, image: Image, label: Image | None, codes: Mapping[int, str]) -> CaseFacts:
    array = image.array
    lowest, highest = float(array.min()), float(array.max())
    no_data: tuple[tuple[float, int], ...] = ()
    if max(abs(lowest), abs(highest)) >= NO_DATA_FROM:
        beyond = np.abs(array.astype(np.float64)) >= NO_DATA_FROM
        values, counts = np.unique(array[beyond], return_counts=True)
        no_data = tuple((float(value), int(count)) for value, count in zip(values, counts, strict=True))
        kept = array[~beyond]
        lowest, highest = (float(kept.min()), float(kept.max())) if kept.size else (lowest, highest)
    voxels = None
    if label is not None:
        counts = np.bincount(label.array.ravel(), minlength=IGNORED + 1)
        voxels = {code: int(counts[code]) for code in codes}
    return CaseFacts(
        name,
        section,
        shape=image.shape,
        spacing=image.spacing,
        channels=array.shape[-1] if array.ndim > len(image.shape) else 1,
        orientation="".join(nibabel.aff2axcodes(image.affine)) if image.oriented else NOT_STATED,
        located=image.located,
        lowest=lowest,
        highest=highest,
        no_data=no_data,
        voxels=voxels,
        voxel_size=float(np.prod(image.spacing)) if image.located else 1.0,
        image_digest=digest_of(array),
        label_digest="" if label is None else digest_of(label.array),
    )


def _arrays(image: Image, label: Image | None) -> CaseArrays:
    """The first channel of a volume, or a picture, with its label, axes towards right, front and up."""
    array = image.array
    if array.ndim > len(image.shape) and len(image.shape) == 3:
        array = array[..., 0]
    reference = np.zeros(image.shape, np.uint8) if label is None else label.array.reshape(image.shape)
    if len(image.shape) == 2:
        return CaseArrays(array, reference, np.zeros_like(reference), image.spacing)
    turn = io_orientation(image.affine)
    array, reference = apply_orientation(array, turn), apply_orientation(reference, turn)
    spacing = tuple(image.spacing[axis] for axis in np.argsort(turn[:, 0]))
    return CaseArrays(array, reference, np.zeros_like(reference), spacing, oriented=image.oriented)
