from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Spacingd

from mednoisy.data.images import write_nifti, write_picture
from mednoisy.data.readers import LoadCased
from mednoisy.errors import UserError

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture
def case(tmp_path):
    image = np.random.default_rng(0).standard_normal((6, 8, 10))
    write_nifti(tmp_path / "image.nii.gz", image, AFFINE)
    write_nifti(tmp_path / "label.nii.gz", image > 1, AFFINE)
    return {"id": "p7", "image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}


def test_channels_first_with_geometry(case):
    item = LoadCased(codes=(0, 1))(case)
    assert item["image"].shape == item["label"].shape == (1, 6, 8, 10)
    assert (item["image"].dtype, item["label"].dtype) == (torch.float32, torch.uint8)
    torch.testing.assert_close(item["label"].as_tensor() > 0, item["image"].as_tensor() > 1)
    np.testing.assert_allclose(item["image"].affine, AFFINE)
    assert item["image"].meta["filename_or_obj"] == case["image"]
    assert isinstance(case["image"], str)


def test_colour_pictures(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_picture(tmp_path / "a.png", colour)
    image = LoadCased("image")({"image": tmp_path / "a.png"})["image"]
    np.testing.assert_array_equal(image.numpy(), np.moveaxis(colour, -1, 0))


def test_an_item_may_lack_label_and_id(case):
    item = LoadCased(codes=(0, 1))({"image": case["image"]})
    assert set(item) == {"id", "image"}
    assert item["id"] == "image"


def test_resampling_is_inverted_to_the_source_grid(case):
    """The prediction comes back on the source's grid and geometry: what is saved fits the source image."""
    forward = Compose([LoadCased("image"), Spacingd("image", (3.0, 3.0, 3.0))])
    item = forward(case)
    assert item["image"].shape != (1, 6, 8, 10)
    item["pred"] = MetaTensor(torch.ones(item["image"].shape), meta=item["image"].meta)
    back = Invertd("pred", forward, orig_keys="image", nearest_interp=True)(item)["pred"]
    assert back.shape == (1, 6, 8, 10)
    np.testing.assert_allclose(back.affine, AFFINE)


def test_faults_come_through_with_the_case(case):
    write_nifti(case["label"], np.full((6, 8, 10), 4), AFFINE)
    with pytest.raises(UserError, match="E206 case 'p7': label holds 4; known codes are 0, 1"):
        LoadCased(codes=(0, 1))(case)
    with pytest.raises(UserError, match="E206 case 'image': label holds 4"):
        LoadCased(codes=(0, 1))({key: case[key] for key in ("image", "label")})
    write_nifti(case["image"], np.zeros((6, 8, 10)), AFFINE)
    with pytest.raises(UserError, match="E202 case 'p7': the image is empty"):
        LoadCased()(case)
