"""Label maps and images that clients send: what is taken, what is refused, and that nothing is lost."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import SimpleITK

from mednoisy.data.images import read_image, write_nifti, write_picture
from mednoisy.errors import UserError
from mednoisy.monai_label import intake
from mednoisy.monai_label.intake import add_image, codes_of_segments, keep_shown, save_label
from mednoisy.monai_label.studies import found_studies
from tests.monai_label.conftest import AFFINE, SHAPE, box

CLASSES = ("background", "atrium", "vein")


def study(place, name="a"):
    return next(each for each in found_studies(place) if each.id == name)


def test_a_label_lands_on_its_images_grid_in_class_codes(place, label_file):
    saved = save_label(place, study(place), label_file(box()), CLASSES, {})

    assert saved.path == place.labels / "a.nii.gz"
    assert saved.voxels == {"atrium": 27, "vein": 0}
    assert saved.version is None
    assert np.array_equal(read_image(saved.path).array, box())
    assert np.allclose(read_image(saved.path).affine, AFFINE)
    assert study(place).label == saved.path


def test_a_square_picture_is_labeled_in_a_viewer_of_volumes(place, label_file):
    """Whose files have columns first; the label that is kept has rows first, as the picture."""
    mask = np.zeros((8, 8), np.uint8)
    mask[1, 2:6] = 1
    write_picture(place.studies / "skin.png", np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    sent = label_file(mask.T[..., np.newaxis], affine=np.diag([-1.0, -1, 1, 1]))
    saved = save_label(place, study(place, "skin"), sent, CLASSES, {"label_info": [{"name": "vein", "idx": 1}]})
    assert saved.path == place.labels / "skin.png"
    assert np.array_equal(read_image(saved.path).array, 2 * mask)


def test_segments_are_told_by_name_not_by_their_place_in_the_scene(place, label_file):
    """3D Slicer: background and a scribble stand first in the scene, so `idx` is 3, and the file holds 1."""
    info = {"label_info": [{"name": "vein", "idx": 3}], "model": "left_atrium", "client_id": "x"}
    saved = save_label(place, study(place), label_file(box(1)), CLASSES, info)
    assert saved.voxels == {"atrium": 0, "vein": 27}
    assert set(np.unique(read_image(saved.path).array)) == {0, 2}


def test_values_that_are_no_places_are_idx():
    assert codes_of_segments([{"name": "Vein ", "idx": 7}], CLASSES, [0, 7], "a") == {0: 0, 7: 2}


def test_two_segments_in_another_order_than_the_classes():
    listed = [{"name": "vein", "idx": 1}, {"name": "atrium", "idx": 2}]
    assert codes_of_segments(listed, CLASSES, [0, 1, 2], "a") == {0: 0, 1: 2, 2: 1}


@pytest.mark.parametrize("listed", [None, [], ""])
def test_without_names_values_are_class_codes(listed):
    assert codes_of_segments(listed, CLASSES, [0, 2], "a") is None


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([{"name": "Segment_1", "idx": 1}], "the segment 'Segment_1' is no class"),
        ([{"name": "atrium", "idx": 1}], "holds 2, and 1 segments are named"),
        ("atrium", "no list of segments"),
        ([{"idx": 1}], "no list of segments"),
        ([{"name": "atrium", "idx": [1]}], "holds 2, and 1 segments are named"),
    ],
)
def test_names_that_lead_to_no_class_are_refused(listed, why):
    with pytest.raises(UserError, match=rf"^E575 case 'a': .*{why}"):
        codes_of_segments(listed, CLASSES, [0, 1, 2], "a")


def test_the_segment_of_disagreement_takes_the_class_that_was_shown_there(place, label_file):
    """It is no class: voxels that an annotator left in it were shown as atrium, but for one."""
    shown = box(1)
    shown[2, 2, 2] = 0
    keep_shown(place, study(place), shown, AFFINE)
    sent = box(2)
    sent[7, 8, 9] = 1
    info = {"label_info": [{"name": "atrium", "idx": 1}, {"name": "disagreement", "idx": 2}]}
    saved = save_label(place, study(place), label_file(sent), CLASSES, info)
    expected = shown.copy()
    expected[7, 8, 9] = 1
    assert np.array_equal(read_image(saved.path).array, expected)
    assert saved.undecided == 27


def test_a_mark_where_nothing_was_shown_is_refused(place, label_file):
    """As of an image that was predicted from a session, or of a label map that has a class more than the server."""
    with pytest.raises(UserError, match=r"^E575 case 'a': voxels are marked as disagreement, and no prediction"):
        save_label(place, study(place), label_file(box(len(CLASSES))), CLASSES, {})
    assert study(place).label is None


def test_what_is_replaced_is_kept(place, label_file):
    first = save_label(place, study(place), label_file(box(1)), CLASSES, {})
    second = save_label(place, study(place), label_file(box(2)), CLASSES, {})
    third = save_label(place, study(place), label_file(np.zeros(SHAPE, np.uint8)), CLASSES, {})

    assert (first.version, second.version, third.version) == (None, 1, 2)
    versions = place.folder / "versions" / "final" / "a"
    assert np.array_equal(read_image(versions / "1" / "a.nii.gz").array, box(1))
    assert np.array_equal(read_image(versions / "2" / "a.nii.gz").array, box(2))
    assert not read_image(third.path).array.any()


@pytest.mark.parametrize(
    ("array", "affine", "why"),
    [
        (box()[:-1], AFFINE, "E204 .*image is 8x9x10, label is 7x9x10"),
        (box(), np.diag([2.0, 2.0, 2.5, 1.0]), "E205 .*different affines"),
        (box(9), AFFINE, "E206 .*holds 9"),
        (box() * 0.4, AFFINE, "E223 .*0.4"),
        (np.zeros((40, 40, 40), np.uint8), AFFINE, "E573 .*6.4e\\+04 voxels, the image has 720"),
    ],
)
def test_other_grids_and_codes_are_refused_and_change_nothing(place, label_file, array, affine, why):
    save_label(place, study(place), label_file(box()), CLASSES, {})
    with pytest.raises(UserError, match=why):
        save_label(place, study(place), label_file(array, "other.nii.gz", affine), CLASSES, {})
    assert np.array_equal(read_image(place.labels / "a.nii.gz").array, box())
    assert not (place.folder / "versions").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("x.nii.gz", b"junk" * 100), ("x.nrrd", b"NRRD0004"), ("x.py", b"import os")]
)
def test_junk_is_refused(place, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"^E202 case 'a'"):
        save_label(place, study(place), tmp_path / name, CLASSES, {})
    assert study(place).label is None


def test_an_uploaded_image_becomes_a_study_and_is_never_overwritten(place, tmp_path, label_file):
    new = tmp_path / "upload.nii.gz"
    shutil.copyfile(study(place).image, new)
    assert add_image(place, "d", new) == place.studies / "d.nii.gz"
    assert add_image(place, "a", new) == study(place).image  # the same bytes
    before = study(place, "b").image.read_bytes()
    with pytest.raises(UserError, match=r"^E587 .*never overwritten"):
        add_image(place, "b", new)
    assert study(place, "b").image.read_bytes() == before
    assert [each.id for each in found_studies(place)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("../e", None, "E572"),
        ("e", b"junk", "E202"),
        ("e", "flat", "E202 .*every voxel is 0"),
    ],
)
def test_images_that_are_none_are_refused(place, tmp_path, name, content, why):
    new = tmp_path / "upload.nii.gz"
    if content == "flat":
        write_nifti(new, np.zeros(SHAPE, np.uint8), AFFINE)
    elif content is None:
        shutil.copyfile(study(place).image, new)
    else:
        new.write_bytes(content)
    with pytest.raises(UserError, match=why):
        add_image(place, name, new)
    assert sorted(path.name for path in place.studies.iterdir()) == [".mednoisy", "a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_links_out_of_the_folder_are_no_studies(place, tmp_path):
    write_nifti(tmp_path / "secret.nii.gz", np.ones(SHAPE, np.uint8), AFFINE)
    (place.studies / "d.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    (place.studies / "e.nii.gz").symlink_to(place.studies / "a.nii.gz")
    assert [each.id for each in found_studies(place)] == ["a", "b", "c", "e"]


ELSEWHERE = {
    "sent.mhd": "ObjectType = Image\nNDims = 3\nDimSize = 8 9 10\nElementType = MET_UCHAR\nElementDataFile = {}\n",
    "sent.mha": "ObjectType = Image\nNDims = 3\nDimSize = 8 9 10\nElementType = MET_UCHAR\nElementDataFile = {}\n",
    "sent.nhdr": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 8 9 10\nencoding: raw\ndata file: {}\n",
    "sent.nrrd": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 8 9 10\nencoding: raw\ndata file: {}\n\n",
}


@pytest.mark.parametrize("name", [*ELSEWHERE, "sent.h5"])
def test_an_upload_whose_voxels_are_files_of_the_server_is_refused(place, tmp_path, name):
    """Else whoever may send a file could have any other read, and kept as a label."""
    secret = tmp_path / "another folder" / "secret.raw"
    secret.parent.mkdir()
    secret.write_bytes(box().tobytes())
    sent = tmp_path / name
    if name in ELSEWHERE:
        sent.write_text(ELSEWHERE[name].format(secret))
        assert read_image(sent, "label").array.sum() == 27  # of a datalist's own files it is right
    else:
        with h5py.File(sent, "w") as file:
            file.create_dataset("label", SHAPE, "u1", external=[(str(secret), 0, 720)])
    with pytest.raises(UserError, match=r"^E558 case 'a': an upload that ends in \.\w+ may have its voxels elsewhere"):
        save_label(place, study(place), sent, CLASSES, {})
    with pytest.raises(UserError, match=r"^E558 "):
        add_image(place, "new", sent)
    assert study(place).label is None
    assert [each.id for each in found_studies(place)] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["sent.nii.gz", "sent.nrrd", "sent.mha", "sent.png"])
def test_a_label_far_larger_than_its_image_is_not_unpacked(place, tmp_path, monkeypatch, name):
    sent = tmp_path / name
    empty = np.zeros((40, 90) if name.endswith("png") else (20, 18, 10), np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(empty), sent)
    monkeypatch.setattr(intake, "_read", lambda file, study: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"^E573 case 'a': its header tells of 3.6e\+03 voxels, the image has 720\."):
        save_label(place, study(place), sent, CLASSES, {})
