"""DICOM segmentations: where their voxels lie, read by pydicom and highdicom; what they say; what cannot become one."""

from __future__ import annotations

import locale
import logging
import re
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from mednoisy.data.images import read_image, read_series, write_nifti
from mednoisy.errors import UserError
from mednoisy.inference import dicom_seg
from mednoisy.inference.dicom_seg import check_dicom_seg, write_dicom_seg
from tests.data.formats.dicom_files import PRIVATE, SIZE, oblique_series

NAMES = {1: "Vorhof \u00e4 \u5de6\u5fc3\u623f", 2: "not there", 3: "wall\\" + 80 * "a"}


def labels(folder: Path, path: Path, seed: int = 3) -> Path:
    """A label map of classes 1 and 3 as NIfTI in the place of a series, with no symmetry."""
    classes = np.random.default_rng(seed).choice(np.array([0, 0, 1, 3], np.uint8), SIZE)
    classes[:, :, 1] = 0
    write_nifti(path, classes, read_series(folder).affine)
    return path


def points_of_nifti(path: Path, number: int) -> np.ndarray:
    """Centres (n, 3) of a class's voxels in the patient's coordinates of DICOM, in mm, sorted."""
    image = read_image(path)
    voxels = np.argwhere(image.array == number)
    return in_order((voxels @ image.affine[:3, :3].T + image.affine[:3, 3]) * (-1, -1, 1))


def points_of_segment(path: Path, number: int) -> np.ndarray:
    """The same of a segment, frame by frame, by what its file says (PS3.3 C.7.6.2.1.1) and pydicom's voxels."""
    file = pydicom.dcmread(path)
    shared = file.SharedFunctionalGroupsSequence[0]
    along_row, along_column = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
    between_rows, between_columns = shared.PixelMeasuresSequence[0].PixelSpacing
    found = [np.empty((0, 3))]
    for frame, facts in zip(file.pixel_array, file.PerFrameFunctionalGroupsSequence, strict=True):
        holder = facts if "SegmentIdentificationSequence" in facts else shared
        if holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            row, column = np.nonzero(frame)
            place = np.array(facts.PlanePositionSequence[0].ImagePositionPatient, float)
            steps = np.outer(column * between_columns, along_row) + np.outer(row * between_rows, along_column)
            found.append(place + steps)
    return in_order(np.concatenate(found))


def in_order(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.round(points, 2).T)]


def written(tmp_path: Path, names=NAMES, **of_series) -> Path:
    oblique_series(str(tmp_path / "scan"), **of_series)
    file = labels(tmp_path / "scan", tmp_path / "scan.nii.gz")
    assert write_dicom_seg(tmp_path / "scan.dcm", tmp_path / "scan", read_image(file), names, "sdcl")
    return tmp_path / "scan.dcm"


@pytest.mark.parametrize("downwards", [False, True])
def test_voxels_lie_where_those_of_the_label_map_do(tmp_path, downwards):
    """Turned about two axes, slices numbered either way; the empty class is a segment too, the empty slice no frame."""
    path = written(tmp_path, downwards=downwards)
    for number, count in ((1, None), (2, 0), (3, None)):
        wanted = points_of_nifti(tmp_path / "scan.nii.gz", number)
        assert (len(wanted) == 0) == (count == 0)
        np.testing.assert_allclose(points_of_segment(path, number), wanted, atol=1e-3)
    opened = highdicom.seg.segread(path)
    assert opened.number_of_segments == 3
    assert opened.NumberOfFrames == 2 * (SIZE[2] - 1)
    assert opened.get_volume(combine_segments=True).spacing == pytest.approx((2.5, 0.9, 0.8), abs=1e-4)


def test_it_says_what_it_is_and_whose(tmp_path):
    """Names of classes, which are no Latin; patient and study of the series, in whatever characters these were."""
    oblique_series(str(tmp_path / "scan"))
    for slice_ in (tmp_path / "scan").iterdir():
        content = pydicom.dcmread(slice_)
        content.SpecificCharacterSet, content.PatientName = "ISO_IR 100", "M\u00fcller^J\u00f6rg"
        content.save_as(slice_)
    path = tmp_path / "scan.dcm"
    write_dicom_seg(path, tmp_path / "scan", read_image(labels(tmp_path / "scan", tmp_path / "a.nii")), NAMES, "sdcl")
    file, source = pydicom.dcmread(path), pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    described = [segment.SegmentLabel for segment in file.SegmentSequence]
    assert described == [NAMES[1], "not there", "wall/" + 59 * "a"]
    assert (file.Modality, file.SegmentationType, file.SegmentsOverlap) == ("SEG", "BINARY", "NO")
    assert {segment.SegmentAlgorithmName for segment in file.SegmentSequence} == {"sdcl"}
    same = ("PatientID", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID")
    assert [file[name].value for name in same] == [source[name].value for name in same]
    assert str(file.PatientName) == "M\u00fcller^J\u00f6rg"
    assert file.SeriesInstanceUID != source.SeriesInstanceUID
    slices = {item.ReferencedSOPInstanceUID for item in file.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert slices == {pydicom.dcmread(slice_).SOPInstanceUID for slice_ in (tmp_path / "scan").iterdir()}


def test_the_same_prediction_is_the_same_object(tmp_path):
    """One that is there is left; another prediction takes its place as an object of its own."""
    path = written(tmp_path)
    before, uid = path.read_bytes(), pydicom.dcmread(path).SOPInstanceUID
    same, other = (read_image(labels(tmp_path / "scan", tmp_path / f"{seed}.nii.gz", seed)) for seed in (3, 4))
    assert not write_dicom_seg(path, tmp_path / "scan", same, NAMES, "sdcl")
    assert path.read_bytes() == before
    assert write_dicom_seg(tmp_path / "again.dcm", tmp_path / "scan", same, NAMES, "sdcl")
    assert pydicom.dcmread(tmp_path / "again.dcm").SOPInstanceUID == uid
    assert write_dicom_seg(path, tmp_path / "scan", other, NAMES, "sdcl")
    assert pydicom.dcmread(path).SOPInstanceUID != uid


def test_a_prediction_of_background_alone_has_its_segments(tmp_path):
    oblique_series(str(tmp_path / "scan"))
    write_nifti(tmp_path / "none.nii.gz", np.zeros(SIZE, np.uint8), read_series(tmp_path / "scan").affine)
    assert write_dicom_seg(tmp_path / "a.dcm", tmp_path / "scan", read_image(tmp_path / "none.nii.gz"), NAMES, "sdcl")
    file = pydicom.dcmread(tmp_path / "a.dcm")
    assert len(file.SegmentSequence) == 3
    assert not file.pixel_array.any()


def test_directions_that_are_rounded_differently_are_one(tmp_path):
    """Within what makes a volume, slices may state them to more or fewer digits."""
    path = written(tmp_path, rounded_in=2)
    np.testing.assert_allclose(points_of_segment(path, 1), points_of_nifti(tmp_path / "scan.nii.gz", 1), atol=0.01)


def test_fields_of_a_patient_that_are_odd_are_emptied_and_never_told(tmp_path, capfd, caplog):
    """Both libraries quote them in warnings; the locale, which GDCM changes, is left."""
    before = locale.setlocale(locale.LC_ALL)
    odd = {"0010|0030": "born in Kiel", "0010|0040": "Weiblich", "0010|0010": "Erika=Mustermann=a=b=c"}
    with caplog.at_level(logging.DEBUG):
        path = written(tmp_path, tags=odd)
    told = "".join(capfd.readouterr()) + caplog.text
    assert "PatientBirthDate, PatientSex of its files are not as the standard has them, and are left empty" in told
    assert not re.search("Kiel|Weiblich|Erika|Mustermann|PID4711|Eisenbarth", told)
    file = pydicom.dcmread(path)
    assert (file.PatientID, file.PatientBirthDate, file.PatientSex) == (PRIVATE["0010|0020"], "", "")
    assert locale.setlocale(locale.LC_ALL) == before


def test_a_series_that_cannot_be_referred_to_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^E594 .*scan: its files hold no FrameOfReferenceUID, which") as refusal:
        written(tmp_path, tags={"0020|0052": ""})
    assert not (tmp_path / "scan.dcm").exists()
    assert "NIfTI label map" in str(refusal.value)


def test_what_highdicom_refuses_is_told_without_its_words(tmp_path, monkeypatch):
    def quoting(*arguments, **named):
        raise ValueError("Mustermann^Erika")

    monkeypatch.setattr(highdicom.seg, "Segmentation", quoting)
    with pytest.raises(UserError, match=r"^E594 .* no segmentation of its headers \(ValueError\)") as refusal:
        written(tmp_path)
    assert "Mustermann" not in str(refusal.value)
    assert refusal.value.__suppress_context__
    assert [path.name for path in tmp_path.glob("*.dcm*")] == []


def test_labels_in_another_place_are_refused(tmp_path):
    oblique_series(str(tmp_path / "scan"))
    for name, size, affine, told in (
        ("place", SIZE, np.eye(4), "E205 case 'scan': image and label have different affines"),
        ("size", SIZE[::-1], np.eye(4), "E204 case 'scan': image is 7x6x5, label is 5x6x7"),
        ("code", SIZE, read_series(tmp_path / "scan").affine, "E206 case 'scan': label holds 4"),
    ):
        write_nifti(tmp_path / f"{name}.nii", np.full(size, 4, np.uint8), affine)
        with pytest.raises(UserError, match=f"^{re.escape(told)}"):
            write_dicom_seg(tmp_path / "a.dcm", tmp_path / "scan", read_image(tmp_path / f"{name}.nii"), NAMES, "sdcl")


@pytest.mark.parametrize("content", ["slice", "text"])
def test_a_file_of_others_is_not_replaced(tmp_path, content):
    oblique_series(str(tmp_path / "scan"))
    taken = tmp_path / "scan.dcm"
    taken.write_bytes(next((tmp_path / "scan").iterdir()).read_bytes() if content == "slice" else b"text")
    before, file = taken.read_bytes(), labels(tmp_path / "scan", tmp_path / "scan.nii.gz")
    with pytest.raises(UserError, match=r"^E553 the output .*scan.dcm is there already, and is no segmentation of"):
        write_dicom_seg(taken, tmp_path / "scan", read_image(file), NAMES, "sdcl")
    assert taken.read_bytes() == before


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_seg, "find_spec", lambda name: None if name == "highdicom" else object())
    cause = r"^E592 DICOM segmentations need what is not installed: highdicom\. pip install 'mednoisy\[dicom\]'"
    with pytest.raises(UserError, match=cause):
        check_dicom_seg([tmp_path], tmp_path / "out")
