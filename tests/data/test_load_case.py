from __future__ import annotations

import h5py
import numpy as np
import pytest
import tifffile
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Resized, Spacingd
from PIL import Image as Picture

from mednoisy.data.images import write_nifti, write_picture
from mednoisy.data.load_case import LoadCased, checking_reader
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


COLOUR = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
MASK = np.zeros((40, 56), bool)
MASK[10:30, 20:50] = True

GREY_AND_WHITE = np.where(MASK, 128, 0).astype(np.uint8)
GREY_AND_WHITE[:, -2:] = 255


def picture_case(folder, image=COLOUR, label=MASK, suffix=".png"):
    Picture.fromarray(image).save(folder / "image.png")
    Picture.fromarray(label).save(folder / f"label{suffix}")
    return {"id": "p7", "image": str(folder / "image.png"), "label": str(folder / f"label{suffix}")}


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".png", ".tif"])
def test_masks_of_pictures_are_codes(tmp_path, suffix):
    """One bit in a BMP, JPEG's greys, 0 and 255: all are 0 and 1."""
    label = MASK if suffix == ".bmp" else MASK * np.uint8(255)
    item = LoadCased(codes=(0, 1))(picture_case(tmp_path, label=label, suffix=suffix))
    np.testing.assert_array_equal(item["label"][0].numpy(), MASK)
    assert item["image"].shape == (3, 40, 56)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (MASK[:-1], "E204 case 'p7': image is 40x56, label is 39x56. Re-export the label"),
        (MASK.T, "E204 case 'p7': image is 40x56, label is 56x40. One of them is turned, perhaps by its EXIF"),
        (MASK * np.uint8(3), "E206 case 'p7': .*label.png holds 3; known codes are 0, 1. Mend the file"),
        (MASK * np.uint8(128), "E206 case 'p7': .*label.png holds 128"),
        (GREY_AND_WHITE, r"E224 case 'p7': .*label.png has areas or lines of grey 128 that"),
        (COLOUR, "E224 case 'p7': .*label.png is in colours"),
    ],
)  # fmt: skip
def test_a_mask_that_is_none_is_refused(tmp_path, label, message):
    with pytest.raises(UserError, match=message):
        LoadCased(codes=(0, 1))(
            picture_case(tmp_path, label=label.astype(label.dtype if label.dtype == bool else "u1"))
        )


def test_channels_are_as_many_as_wanted(tmp_path):
    """A grey among colour pictures becomes three equal channels, three equal channels one; colour is never lost."""
    for name, array in (("grey", COLOUR[..., 0]), ("equal", np.stack([COLOUR[..., 0]] * 3, axis=-1))):
        write_picture(tmp_path / f"{name}.png", array)
        for channels in (1, 3):
            image = LoadCased("image", channels=channels)({"image": tmp_path / f"{name}.png"})["image"]
            np.testing.assert_array_equal(image.numpy(), np.stack([COLOUR[..., 0]] * channels))
    deep = COLOUR[..., 0].astype(np.uint16) * 257
    Picture.fromarray(deep).save(tmp_path / "deep.png")
    image = LoadCased("image", channels=3)({"image": tmp_path / "deep.png"})["image"]
    np.testing.assert_array_equal(image.numpy()[1], COLOUR[..., 0])
    tifffile.imwrite(tmp_path / "deep.tif", COLOUR.astype(np.uint16) * 257, photometric="rgb")
    image = LoadCased("image", channels=3)({"image": tmp_path / "deep.tif"})["image"]
    np.testing.assert_array_equal(image.numpy(), np.moveaxis(COLOUR, -1, 0))
    tifffile.imwrite(tmp_path / "shares.tif", COLOUR / np.float32(255), photometric="rgb")
    with pytest.raises(UserError, match=r"E225 case 'shares': .*shares.tif holds float32, whose black and white are"):
        LoadCased("image", channels=3)({"image": tmp_path / "shares.tif"})
    write_picture(tmp_path / "colour.png", COLOUR)
    with pytest.raises(UserError, match=r"E225 case 'colour': .*colour.png has 3 channels, wanted 1"):
        LoadCased("image", channels=1)({"image": tmp_path / "colour.png"})


def test_axes_are_as_many_as_wanted(case, tmp_path):
    """A volume among pictures is refused, and a picture among volumes, before anything is made of them."""
    write_picture(tmp_path / "a.png", COLOUR)
    assert LoadCased("image", axes=2, channels=3)({"image": tmp_path / "a.png"})["image"].shape == (3, 40, 56)
    assert LoadCased("image", axes=3)(case)["image"].shape == (1, 6, 8, 10)
    with pytest.raises(UserError, match=r"E227 case 'a': .*a.png has 2 axes \(40x56\), wanted 3. Give volumes"):
        LoadCased("image", axes=3)({"image": tmp_path / "a.png"})
    with pytest.raises(UserError, match=r"E227 case 'p7': .*image.nii.gz has 3 axes \(6x8x10\), wanted 2. Give pict"):
        LoadCased("image", axes=2, channels=3)(case)


@pytest.mark.parametrize("reader", [LoadCased(codes=(0, 1), located=True), None], ids=["itself", "before training"])
def test_volumes_that_state_no_size_of_voxels_are_refused_where_it_is_wanted(case, tmp_path, reader):
    """At an assumed 1 mm they would be brought to a wrong size without a word."""
    reader = reader or checking_reader(Compose([LoadCased(located=True)]), (0, 1))
    assert reader(case)["image"].shape == (1, 6, 8, 10)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["image"] = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    plain = {"id": "p8", "image": str(tmp_path / "plain.h5")}
    assert LoadCased()(plain)["image"].shape == (1, 4, 4, 4)
    with pytest.raises(UserError, match=r"E228 case 'p8': .*plain\.h5 does not state how large its voxels are"):
        reader(plain)


def test_a_picture_resized_comes_back_at_its_own_size(tmp_path):
    forward = Compose([LoadCased("image"), Resized("image", (32, 32))])
    item = forward(picture_case(tmp_path))
    item["pred"] = MetaTensor(torch.ones(1, 32, 32), affine=item["image"].affine)
    back = Invertd("pred", forward, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert back.shape == (1, 40, 56)
    np.testing.assert_allclose(back.affine, item["image"].meta["original_affine"], atol=1e-6)
    assert tuple(item["image"].meta["spatial_shape"]) == (40, 56)


def test_the_checking_reader_wants_what_preprocessing_wants(tmp_path):
    """So that a picture among volumes is refused before training, not when it is scored."""
    chain = Compose([LoadCased(["image"], axes=3, channels=1)])
    reader = checking_reader(chain, {0, 1})
    assert (reader.axes, reader.channels, reader.codes) == (3, 1, {0, 1})
    other = checking_reader(Compose([]), {0, 1})
    assert (other.axes, other.channels) == (None, None)
