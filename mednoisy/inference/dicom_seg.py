"""Label maps of DICOM series as DICOM segmentations, by highdicom: an extra, imported where one is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mednoisy import __version__
from mednoisy.data.formats.dicom import holds_slices, stacked_slices
from mednoisy.data.formats.silence import quiet
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import Image, digest_of, image_name
from mednoisy.errors import UserError
from mednoisy.files import written_aside
from mednoisy.notices import tell

if TYPE_CHECKING:
    from pydicom import Dataset

NEEDED = ("highdicom", "pydicom")  # the extra `dicom`
REFERRED_TO = (  # of each slice, without which nothing can refer to it or lie in its place
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
)
EXPECTED = (  # of patient and study; the standard has them in every file, empty where they are not known
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
SEXES = ("", "M", "F", "O")
SERIES_NUMBER = 1000  # beyond those that scanners count to
LONGEST_LABEL = 64  # characters of a DICOM long string, which holds no backslash
MANUFACTURER = "mednoisy"
UTF_8 = "ISO_IR 192"


def check_dicom_seg(images: Sequence[Path], output: Path) -> None:
    """Refuse what cannot become segmentations, before anything is loaded.

    Args:
        images: each a folder that holds a DICOM series.
        output: folder of the files to be.

    Raises:
        UserError: E592, highdicom is not installed; E593, an image is no DICOM series; E113, `output` is the folder of
            a series.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        cause = f"DICOM segmentations need what is not installed: {', '.join(missing)}"
        raise UserError("E592", cause, "pip install 'mednoisy[dicom]', or drop --dicom-seg")
    for image in images:
        if not holds_slices(image):
            cause = f"{image} is no folder of a DICOM series, which a DICOM segmentation refers to"
            raise UserError("E593", cause, "Give the folder of the series, or drop --dicom-seg")
        if image.resolve() == output.resolve():
            cause = f"--output {output} is the folder of a series: a segmentation in it would pass for one more slice"
            raise UserError("E113", cause, "Give another folder")


def write_dicom_seg(path: Path, folder: Path, labels: Image, names: Mapping[int, str], algorithm: str) -> bool:
    """Write the classes in a DICOM series as a binary segmentation, whole or not at all.

    The file carries patient and study of the series, as the standard asks; no message and no name does. What it is
    called among others (its UIDs) follows from the series, the classes and their names: the same prediction is the
    same object, and one that is there already is left as it is.

    Args:
        path: of the file.
        folder: holds the series.
        labels: classes on the grid of `read_series`, 0 is background.
        names: of the classes from 1 on, each of which becomes the segment of its number, present or not.
        algorithm: what the classes come from.

    Returns:
        Whether it was written.

    Raises:
        UserError: E259, as `read_series`; E204 to E206, as `check_pair`; E553, another file is there already;
            E594, what a segmentation needs is not in the headers of the series, or is not what the standard says.
    """
    slices, affine = _headers(folder)
    grid = np.broadcast_to(np.uint8(0), (int(slices[0].Columns), int(slices[0].Rows), len(slices)))
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :3], axis=0))
    classes = check_pair(
        Image(grid, affine, spacing, oriented=True), labels, {0, *names}, case=image_name(folder)
    ).array
    from pydicom.uid import generate_uid

    facts = [*(header.SOPInstanceUID for header in slices), digest_of(classes), repr(sorted(names.items()))]
    uids = [str(generate_uid(entropy_srcs=[what, algorithm, *facts])) for what in ("instance", "series")]
    if path.exists() and _is_ours(path, uids[0]):
        return False
    try:
        with _silent():
            segmentation = _segmentation(slices, classes, names, algorithm, uids)
            with written_aside(path) as aside:
                segmentation.save_as(aside)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:  # its text may quote fields of a patient
        cause = f"{folder}: highdicom makes no segmentation of its headers ({type(fault).__name__})"
        raise UserError("E594", cause, "Export the series again, or take its NIfTI label map") from None
    return True


def _segmentation(
    slices: Sequence[Dataset], classes: np.ndarray, names: Mapping[int, str], algorithm: str, uids: Sequence[str]
) -> Any:
    """The binary segmentation of a series, with the UIDs of its instance and of its own series."""
    import highdicom

    method = highdicom.AlgorithmIdentificationSequence(
        name=_long_string(algorithm), family=_code("DCM", "123110", "Artificial Intelligence"), version=__version__
    )
    return highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(classes.T, dtype=np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(number, names[number], method) for number in sorted(names)],
        series_instance_uid=uids[1],
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids[0],
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="mednoisy predict",
        software_versions=__version__,
        device_serial_number="none",
        series_description=_long_string(f"Segmentation by {algorithm}"),
        content_label="SEGMENTATION",
        specific_character_set=UTF_8,
    )


def _headers(folder: Path) -> tuple[list[Dataset], np.ndarray]:
    """All but the voxels of a series' files, in the order of slices, mended where that changes neither the patient nor
    the place; and their affine (4, 4) to RAS.

    Raises:
        UserError: E259, E594.
    """
    import pydicom

    try:
        files, affine = stacked_slices(folder)
    except ValueError as fault:
        raise UserError("E259", f"{folder} {fault}", "Give each series a folder of its own") from fault
    with _silent():
        slices: list[Dataset] = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        lacking = [name for name in REFERRED_TO if any(not header.get(name) for header in slices)]
        if not lacking:
            emptied = sorted({name for header in slices for name in _mended(header)})
            for header in slices:
                _place(header, slices[0], float(np.linalg.norm(affine[:3, 2])))
    if lacking:
        cause = f"{folder}: its files hold no {', '.join(lacking)}, which a segmentation refers to"
        raise UserError("E594", cause, "Export the series again, or take its NIfTI label map")
    if emptied:
        tell(f"note: {folder}: {', '.join(emptied)} of its files are not as the standard has them, and are left empty")
    return slices, affine


def _mended(header: Dataset) -> list[str]:
    """Fill in what every file should hold and empty what is no valid value; names of what was emptied."""
    from pydicom.valuerep import DA, TM

    emptied: list[str] = []
    for name in EXPECTED:
        try:
            value: Any = header.get(name, "")
            if (name.endswith("Date") and DA(value) is None) or (name.endswith("Time") and TM(value) is None):
                value = ""
            if name == "PatientSex" and str(value or "") not in SEXES:
                raise ValueError("no sex of the standard")
        except ValueError:
            value, emptied = "", [*emptied, name]
        setattr(header, name, value)
    return emptied


def _place(header: Dataset, first: Dataset, step_mm: float) -> None:
    """State directions alike for all slices (rounded differently, they pass for others) and the step between them."""
    from pydicom.valuerep import DSfloat

    header.ImageOrientationPatient = first.ImageOrientationPatient
    header.SpacingBetweenSlices = DSfloat(step_mm, auto_format=True)
    header.SliceThickness = header.get("SliceThickness") or header.SpacingBetweenSlices


def _is_ours(path: Path, instance: str) -> bool:
    """Whether a file is this very instance; refuses one that is no segmentation of ours (E553)."""
    import pydicom

    with _silent():
        try:
            header: Dataset = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "Manufacturer", "Modality"])
        except (pydicom.errors.InvalidDicomError, OSError, ValueError):
            header = pydicom.Dataset()
    if (header.get("Modality"), header.get("Manufacturer")) != ("SEG", MANUFACTURER):
        raise UserError("E553", f"the output {path} is there already, and is no segmentation of mednoisy", "Remove it")
    return bool(header.get("SOPInstanceUID") == instance)


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing is told within: what is odd about a field of a patient, both libraries quote."""
    loggers = [logging.getLogger(name) for name in NEEDED]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with quiet():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _segment(number: int, name: str, method: Any) -> Any:
    """A segment under its class's name; "tissue" is what viewers call what no code is known of."""
    from highdicom.seg import SegmentDescription

    tissue = _code("SCT", "85756007", "Tissue")
    return SegmentDescription(
        segment_number=number,
        segment_label=_long_string(name),
        segmented_property_category=tissue,
        segmented_property_type=tissue,
        algorithm_type="AUTOMATIC",
        algorithm_identification=method,
    )


def _code(scheme: str, value: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, meaning)


def _long_string(text: str) -> str:
    return text.replace("\\", "/")[:LONGEST_LABEL]
