"""What can be known of a prepared dataset without training: sizes, spacings, intensities, foreground. No torch here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from nibabel.orientations import io_orientation
from tqdm import tqdm

from mednoisy.configure.intensities import Intensities, Sampler
from mednoisy.configure.modality import modality_of
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import is_picture
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.image import Image
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import check_image, read_image
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.errors import UserError

MOST_UNLABELED = 200  # images without labels that are read, evenly over all: sizes and intensities are known by then


@dataclass(frozen=True)
class Fingerprint:
    """A dataset in numbers: no path, no id, no word on a patient.

    Axes of volumes are those of the patient (right, front, top) where files state them, else as stored; of pictures
    rows and columns. Sizes and spacings are of images with and without labels alike, in the same order.

    Attributes:
        name: of the dataset.
        pictures: whether images are pictures of rows and columns.
        channels: what each channel shows.
        modality: "CT", "MR", "US", "PET", "RGB" or "unknown", see `modality.py`.
        labels: name of each label code.
        labeled_cases: how many images have labels.
        labeled_patients: how many patients these are of.
        unlabeled_cases: how many images have none, read or not.
        sizes: voxels along each axis, for each image that was read.
        spacings: millimetres between neighbouring voxels, likewise; pixels where no file states millimetres.
        located: whether every file states how large its voxels are.
        oriented: whether every file states where the patient's axes are.
        coarsest_last: share of the images whose last stored axis is that of the coarsest voxels.
        intensities: of all voxels, over all images; those of the first channel.
        foreground: of voxels within labels; None where all labels are empty.
        class_shares: of each class but background, its share of the voxels over all labeled images.
        reach: along each axis, the length around an image's centre in which all labeled foreground lies, of the image
            where it is largest; in the unit of `spacings`.
    """

    name: str
    pictures: bool
    channels: list[str]
    modality: str
    labels: list[str]
    labeled_cases: int
    labeled_patients: int
    unlabeled_cases: int
    sizes: list[list[int]]
    spacings: list[list[float]]
    located: bool
    oriented: bool
    coarsest_last: float
    intensities: Intensities
    foreground: Intensities | None
    class_shares: list[float]
    reach: list[float]

    @property
    def axes(self) -> int:
        """How many spatial axes images have."""
        return len(self.sizes[0])

    @property
    def median_size(self) -> list[float]:
        """The median number of voxels along each axis, as stored."""
        return [float(each) for each in np.median(self.sizes, axis=0)]

    @property
    def median_spacing(self) -> list[float]:
        """The median distance of voxels along each axis."""
        return [float(each) for each in np.median(self.spacings, axis=0)]

    @property
    def median_extent(self) -> list[float]:
        """The median length of an image along each axis, in the unit of its spacing."""
        return [float(each) for each in np.median(np.multiply(self.sizes, self.spacings), axis=0)]

    def as_json(self) -> str:
        """The text of `fingerprint.json`."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def fingerprint(datalist: Datalist) -> Fingerprint:
    """The numbers of all labeled and up to `MOST_UNLABELED` unlabeled images; those of other sections are not read.

    Raises:
        UserError: E201 to E209 and E240, an image or label that cannot be read, with its case; E383, no image has a
            label; E384, images of different numbers of channels; E385, an image of two axes that is no picture.
    """
    labeled, unlabeled = datalist.cases("labeled"), datalist.cases("unlabeled")
    if not labeled:
        cause = f"{datalist.source or datalist.name} has no labeled case, from which a bundle could learn its setting"
        raise UserError("E383", cause, "Label some cases, and list them in the section 'labeled'")
    read = _evenly(unlabeled, MOST_UNLABELED)
    codes = frozenset(datalist.labels)
    pictures = all(is_picture(Path(case["image"])) for case in labeled + read)
    seen = _Seen(classes=len(datalist.labels))
    for case in tqdm(labeled + read, desc="fingerprint", unit="case", disable=None):
        image = _read(case, pictures)
        label = None
        if "label" in case:
            ignore, stored = ignored_codes(case), stored_codes(case)
            label = read_reference(case["label"], codes, ignore=ignore, stored=stored, case=case["id"])
            label = label.as_slice() if pictures else label
            label = check_pair(image, label, codes | {IGNORED} if ignore else codes, case=case["id"])
        seen.add(image, label, case["id"])
    channels = [datalist.channels[number] for number in sorted(datalist.channels)]
    everywhere = seen.everywhere.summary()
    assert everywhere is not None  # there is a labeled image
    return Fingerprint(
        name=datalist.name,
        pictures=pictures,
        channels=channels if len(channels) == seen.channels else [f"channel {n}" for n in range(seen.channels)],
        modality="RGB" if pictures else modality_of(channels, everywhere),
        labels=[datalist.labels[code] for code in sorted(datalist.labels)],
        labeled_cases=len(labeled),
        labeled_patients=len(datalist.patients("labeled")),
        unlabeled_cases=len(unlabeled),
        sizes=seen.sizes,
        spacings=seen.spacings,
        located=seen.located,
        oriented=seen.oriented,
        coarsest_last=round(seen.coarsest_last / len(seen.sizes), 4),
        intensities=everywhere,
        foreground=seen.inside.summary(),
        class_shares=[float(f"{count / max(seen.labeled_voxels, 1):.4g}") for count in seen.class_voxels[1:]],
        reach=[round(float(each), 4) for each in seen.reach],
    )


class _Seen:
    """What is gathered image by image, so that one at a time is in memory."""

    def __init__(self, classes: int) -> None:
        self.sizes: list[list[int]] = []
        self.spacings: list[list[float]] = []
        self.channels, self.coarsest_last, self.labeled_voxels = 0, 0, 0
        self.located, self.oriented = True, True
        self.everywhere, self.inside = Sampler(), Sampler()
        self.class_voxels = np.zeros(classes, dtype=np.int64)
        self.reach = np.zeros(0)

    def add(self, image: Image, label: Image | None, case: str) -> None:
        """One more image, with its label where it has one."""
        order = patient_axes(image)
        size, spacing = [image.shape[axis] for axis in order], [image.spacing[axis] for axis in order]
        channels = image.array.shape[-1] if image.array.ndim > len(size) else 1
        self._check_channels(channels, len(size), case)
        self.sizes.append([int(each) for each in size])
        self.spacings.append([float(f"{each:.6g}") for each in spacing])
        self.located &= image.located
        self.oriented &= image.oriented
        self.coarsest_last += int(image.spacing[-1] == max(image.spacing))
        first = image.array if channels == 1 else image.array[..., 0]
        self.everywhere.add(first.reshape(-1))
        if label is None:
            return
        codes = label.array.reshape(image.shape)
        codes = np.where(codes == IGNORED, 0, codes)
        self.class_voxels += np.bincount(codes.reshape(-1), minlength=len(self.class_voxels))
        self.labeled_voxels += codes.size
        if not codes.any():
            return
        self.inside.add(first.reshape(image.shape)[codes > 0])
        self.reach = np.maximum(self.reach, _reach(codes > 0)[order] * np.multiply(size, spacing))

    def _check_channels(self, channels: int, axes: int, case: str) -> None:
        """Refuse what no one network can take together."""
        if not self.sizes:
            self.channels, self.reach = channels, np.zeros(axes)
        if channels != self.channels:
            cause = f"its image has {channels} channels, those before it have {self.channels}"
            raise UserError("E384", cause, "Give every image the same channels, or drop the case", case=case)


def patient_axes(image: Image) -> list[int]:
    """Which stored axis runs along the patient's right, front and top, in this order; as stored where not stated."""
    stored = list(range(len(image.spacing)))
    if not image.oriented or len(stored) != 3:
        return stored
    along = io_orientation(image.affine)[:, 0]
    return [int(np.argwhere(along == axis)[0, 0]) for axis in range(3)]


def _read(case: Case, pictures: bool) -> Image:
    """The image of a case: of a picture three channels, as kinds of bundles read it."""
    image = read_image(case["image"], "image", case=case["id"])
    check_image(image, case=case["id"])
    if not pictures:
        if len(image.spacing) == 2:
            cause = f"{case['image']} has two axes and is no picture"
            cure = "Store it as PNG, or as a volume of one slice (1 x rows x columns)"
            raise UserError("E385", cause, cure, case=case["id"])
        return image
    image = image.as_slice()
    if image.array.ndim == 2 or image.array.shape[-1] == 1:
        return replace(image, array=np.repeat(image.array.reshape(*image.shape, 1), 3, axis=-1))
    return image


def _reach(foreground: np.ndarray) -> np.ndarray:
    """How far the foreground lies from the centre along each axis, as a share of half the image."""
    reach = []
    for axis, size in enumerate(foreground.shape):
        others = tuple(other for other in range(foreground.ndim) if other != axis)
        where = np.flatnonzero(foreground.any(axis=others))
        reach.append(max(size / 2 - where[0], where[-1] + 1 - size / 2) / (size / 2))
    return np.array(reach)


def _evenly(cases: list[Case], most: int) -> list[Case]:
    """Up to `most` of them, evenly over the list."""
    if len(cases) <= most:
        return cases
    return [cases[int(number)] for number in np.linspace(0, len(cases) - 1, most).round()]
