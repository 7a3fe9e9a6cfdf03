from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from PIL import Image as Picture

from mednoisy.data.images import read_image, write_nifti
from mednoisy.data.label_maps import read_label_map
from mednoisy.errors import UserError
from mednoisy.inference.label_map_files import SaveLabelsd, label_file, write_grey, write_labels


def test_pictures_get_pictures_and_volumes_volumes(tmp_path):
    assert label_file(tmp_path, "a", "x/a.JPG") == tmp_path / "a.png"
    assert label_file(tmp_path, "a.b", "x/a.b.tif") == tmp_path / "a.b.png"
    assert label_file(tmp_path, "a", "x/a.nii.gz") == tmp_path / "a.nii.gz"
    assert label_file(tmp_path, "a", "x/a.h5") == tmp_path / "a.nii.gz"


@pytest.mark.parametrize("codes", [[0, 1], [0], [0, 1, 2]])
def test_a_png_holds_codes_of_8_bits_whatever_occurs(codes, tmp_path):
    """One bit is 0 and 255 to most readers: one class would have two numbers in the files of one run."""
    labels = np.resize(np.array(codes, dtype=np.uint8), (5, 7))
    write_labels(tmp_path / "a.png", labels, np.eye(4))
    with Picture.open(tmp_path / "a.png") as picture:
        assert picture.mode == "L"
        assert picture.size == (7, 5)
        np.testing.assert_array_equal(np.asarray(picture), labels)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", range(3)).image.array, labels)


def test_label_maps_are_saved_under_the_names_of_their_images(tmp_path):
    affine = np.diag([2.0, 3, 9, 1])
    write_nifti(tmp_path / "scan.nii.gz", np.zeros((2, 3, 4)), affine)
    meta = {"filename_or_obj": str(tmp_path / "scan.nii.gz"), "original_affine": torch.as_tensor(affine)}
    labels = torch.arange(24.0).reshape(1, 2, 3, 4)
    item = {"image": MetaTensor(torch.zeros(1, 2, 3, 4), meta=meta), "pred": labels}
    SaveLabelsd("pred", tmp_path / "out")(item)
    saved = read_image(tmp_path / "out" / "scan.nii.gz")
    np.testing.assert_array_equal(saved.array, labels[0].numpy())
    np.testing.assert_allclose(saved.affine, affine)


def test_images_that_differ_by_their_ending_alone_do_not_share_a_label_map(tmp_path):
    def item(name):
        meta = {"filename_or_obj": f"x/{name}", "original_affine": torch.eye(4)}
        return {"image": MetaTensor(torch.zeros(1, 2, 3), meta=meta), "pred": torch.zeros(1, 2, 3)}

    save = SaveLabelsd("pred", tmp_path)
    save(item("a.png"))
    save(item("a.png"))
    with pytest.raises(UserError, match=r"E207 case 'a': x/a.png and x/a.jpg would both be a.png"):
        save(item("a.jpg"))


@pytest.mark.parametrize("name", ["map.png", "map.nii.gz"])
@pytest.mark.parametrize("values", [[0, 1], [0, 255], [7, 200]])
def test_greys_are_written_as_they_are(tmp_path, name, values):
    """Eight bits, also where 0 and 1 alone occur, which a label map would store in one bit."""
    array = np.resize(np.uint8(values), (5, 4))
    write_grey(tmp_path / name, array, np.eye(4))
    found = read_image(tmp_path / name).array
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


def source_of(kind, path):
    """A scan whose place depends on who reads it: its qform, sform and codes differ."""
    array, place = np.zeros((6, 5, 4), np.int16), np.diag([-1.25, -1.25, 1.25, 1.0])
    place[:3, 3] = (30, 40, -20)
    image = nibabel.Nifti1Image(array, None if kind == "no codes" else place)
    if kind == "no codes":
        image.header.set_zooms((1.25,) * 3)
    elif kind == "other sform":
        moved = place.copy()
        moved[:3, 3] += (3, -6, 9)
        image.set_sform(moved, 4)
        image.set_qform(place, 1)
    elif kind == "microns":
        image.header.set_xyzt_units("micron")
    elif kind == "scaled":
        image.header.set_slope_inter(0.5, 3)
    elif kind == "slice":
        image = nibabel.Nifti1Image(array[:1], place)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("kind", ["no codes", "other sform", "microns", "scaled", "slice"])
def test_a_label_map_lies_where_its_nifti_lies_for_every_program(tmp_path, kind):
    source = source_of(kind, tmp_path / "scan.nii.gz")
    labels = np.resize(np.arange(3, dtype=np.uint8), read_image(source).as_slice().shape)
    write_labels(tmp_path / "a.nii.gz", labels, np.eye(4), source)
    written = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj).reshape(labels.shape), labels)
    assert written.get_data_dtype() == np.uint8
    header, of_source = written.header, nibabel.load(source).header
    for name in (
        "qform_code",
        "sform_code",
        "pixdim",
        "srow_x",
        "srow_z",
        "quatern_b",
        "qoffset_x",
        "xyzt_units",
        "dim",
    ):
        np.testing.assert_array_equal(header[name], of_source[name], err_msg=name)
    scan, mask = SimpleITK.ReadImage(source), SimpleITK.ReadImage(tmp_path / "a.nii.gz")
    for found, wanted in zip((mask.GetOrigin(), mask.GetSpacing()), (scan.GetOrigin(), scan.GetSpacing()), strict=True):
        assert found == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "codes"), [("a.png", (0, 254)), ("a.nii.gz", (0, 7)), ("a.nii.gz", (0, 1000))])
def test_files_carry_the_sources_codes(tmp_path, name, codes):
    labels = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    write_labels(tmp_path / name, labels, np.eye(4), codes=codes)
    np.testing.assert_array_equal(read_image(tmp_path / name).array, labels.astype(int) * codes[1])
