from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image as Picture

from mednoisy.data.images import read_image
from mednoisy.data.label_maps import read_label_map
from mednoisy.errors import UserError
from mednoisy.inference.label_map_files import SaveLabelsd, label_file, write_grey, write_labels


def test_pictures_get_pictures_and_volumes_volumes(tmp_path):
    assert label_file(tmp_path, "a", "x/a.JPG") == tmp_path / "a.png"
    assert label_file(tmp_path, "a.b", "x/a.b.tif") == tmp_path / "a.b.png"
    assert label_file(tmp_path, "a", "x/a.nii.gz") == tmp_path / "a.nii.gz"
    assert label_file(tmp_path, "a", "x/a.h5") == tmp_path / "a.nii.gz"


@pytest.mark.parametrize(("codes", "mode"), [([0, 1], "1"), ([0], "1"), ([0, 1, 2], "L")])
def test_a_png_gives_its_codes_back(codes, mode, tmp_path):
    """Two classes are black and white in any viewer; more are codes as they are."""
    labels = np.resize(np.array(codes, dtype=np.uint8), (5, 7))
    write_labels(tmp_path / "a.png", labels, np.eye(4))
    with Picture.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
        assert picture.size == (7, 5)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", range(3)).image.array, labels)


def test_label_maps_are_saved_under_the_names_of_their_images(tmp_path):
    affine = np.diag([2.0, 3, 9, 1])
    meta = {"filename_or_obj": "x/scan.nii.gz", "original_affine": torch.as_tensor(affine)}
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
