from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Invertd

from mednoisy.data.load_case import LoadCased, checking_reader
from mednoisy.data.orienting import Orientedd, OrientedSlicesd
from mednoisy.errors import UserError
from tests.stored_orders import ORDERS, name_of, stored, upright

VOLUME = np.random.default_rng(0).normal(size=(7, 6, 5)).astype(np.float32)
HEART = nibabel.Nifti1Image(VOLUME, np.diag([1.5, 1.7, 8.0, 1.0]))


def case(tmp_path, image: nibabel.Nifti1Image) -> dict[str, str]:
    """A scan with the mask of its positive voxels, on one grid."""
    mask = nibabel.Nifti1Image((np.asarray(image.dataobj) > 0).astype(np.uint8), image.affine)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    nibabel.save(mask, tmp_path / "mask.nii.gz")
    return {"id": "p7", "image": str(tmp_path / "scan.nii.gz"), "label": str(tmp_path / "mask.nii.gz")}


def chain(step: Orientedd) -> Compose:
    return Compose([LoadCased(codes=(0, 1), axes=3), step])


@pytest.mark.parametrize("order", ORDERS, ids=name_of)
def test_image_and_label_are_turned_and_come_back(tmp_path, order):
    image = stored(HEART, order)
    preprocessing = chain(Orientedd(["image", "label"]))
    item = preprocessing(case(tmp_path, image))
    assert np.array_equal(item["image"][0].numpy(), VOLUME)
    assert np.array_equal(item["label"][0].numpy(), VOLUME > 0)
    assert item["image"].is_contiguous()
    np.testing.assert_allclose(item["image"].affine, HEART.affine, atol=1e-6)
    item["pred"] = item["image"].clone()
    back = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert np.array_equal(back[0].numpy(), np.asarray(image.dataobj))
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-6)


def test_a_volume_that_lies_so_already_is_not_copied(tmp_path):
    loaded = LoadCased(codes=(0, 1))(case(tmp_path, HEART))
    item = Orientedd(["image", "label"])(loaded)
    assert item["image"].data_ptr() == loaded["image"].data_ptr()
    assert item["image"].applied_operations == []


def test_none_leaves_volumes_as_they_are_stored(tmp_path):
    image = stored(HEART, ORDERS[30])
    item = chain(Orientedd(["image", "label"], None))(case(tmp_path, image))
    assert np.array_equal(item["image"][0].numpy(), np.asarray(image.dataobj))


def silent(tmp_path, spacing: float | None = None) -> list[str]:
    """Files that state no orientation: NIfTI with both codes 0, whose convention is LAS, and HDF5."""
    image = nibabel.Nifti1Image(VOLUME, None)
    image.header.set_zooms((1.5, 1.7, 8.0))
    nibabel.save(image, tmp_path / "a.nii.gz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = VOLUME
        file.attrs.update({} if spacing is None else {"spacing": spacing})
    return [str(tmp_path / "a.nii.gz"), str(tmp_path / "a.h5")]


def test_what_states_no_orientation_is_taken_as_stored(tmp_path):
    for path in silent(tmp_path):
        item = Compose([LoadCased(axes=3), Orientedd("image")])({"id": "a", "image": path})
        assert np.array_equal(item["image"][0].numpy(), VOLUME), path
        assert item["image"].meta["as_read"]["oriented"] is False


@pytest.mark.parametrize("order", ORDERS, ids=name_of)
def test_slices_lie_last_wherever_they_are_stored(tmp_path, order):
    """Axes in plane keep the order of the orientation: a heart whose slices run from left to right."""
    heart = nibabel.Nifti1Image(VOLUME, np.diag([8.0, 1.7, 1.5, 1.0]))
    image = stored(heart, order)
    preprocessing = chain(OrientedSlicesd(["image", "label"]))
    item = preprocessing(case(tmp_path, image))
    assert np.array_equal(item["image"][0].numpy(), VOLUME.transpose(1, 2, 0))
    assert np.array_equal(item["label"][0].numpy(), VOLUME.transpose(1, 2, 0) > 0)
    np.testing.assert_allclose(item["image"].pixdim, (1.7, 1.5, 8.0), rtol=1e-6)
    item["pred"] = item["image"].clone()
    back = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert np.array_equal(back[0].numpy(), np.asarray(image.dataobj))


def test_slices_of_files_without_directions_lie_along_their_coarsest_axis(tmp_path):
    image = nibabel.Nifti1Image(VOLUME, None)
    image.header.set_zooms((8.0, 1.7, 1.5))
    nibabel.save(image, tmp_path / "a.nii.gz")
    item = Compose([LoadCased(axes=3), OrientedSlicesd("image")])({"id": "a", "image": str(tmp_path / "a.nii.gz")})
    assert np.array_equal(item["image"][0].numpy(), VOLUME.transpose(1, 2, 0))


@pytest.mark.parametrize("slices", [0, 1, 2])
def test_an_axis_that_is_named_is_one_of_the_orientation(tmp_path, slices):
    cube = nibabel.Nifti1Image(VOLUME, np.eye(4))
    others = [axis for axis in range(3) if axis != slices]
    for order in ORDERS[::7]:
        item = chain(OrientedSlicesd(["image", "label"], slices=slices))(case(tmp_path, stored(cube, order)))
        assert np.array_equal(item["image"][0].numpy(), VOLUME.transpose(*others, slices))


def test_where_no_axis_is_the_coarsest_they_ask(tmp_path):
    cube = case(tmp_path, nibabel.Nifti1Image(VOLUME, np.diag([1.5, 1.5, 1.6, 1])))
    wanted = (
        r"^E250 case 'p7': slices are cut along the axis of the coarsest voxels, and those of .*scan.nii.gz are "
        r"1.5x1.5x1.6 mm\. Say along which: --set slices=0, 1 or 2, an axis of LPS \(predict: --slices\)\.$"
    )
    with pytest.raises(UserError, match=wanted):
        OrientedSlicesd(["image"], "LPS")(LoadCased(("image",))(cube))
    with pytest.raises(UserError, match=wanted):  # before training, of test cases too
        checking_reader(chain(OrientedSlicesd(["image", "label"], "LPS")), (0, 1))(cube)
    hdf5 = {"id": "p8", "image": silent(tmp_path)[1]}
    with pytest.raises(
        UserError, match=r"^E250 case 'p8': .*a\.h5 does not state how large they are\. .* as stored \("
    ):
        OrientedSlicesd(["image"])(LoadCased(("image",))(hdf5))


@pytest.mark.parametrize("slices", [3, -1, "last", True, 1.5])
def test_what_is_no_axis_is_refused(slices):
    with pytest.raises(ValueError, match=r"slices is .*; it must be 0, 1 or 2"):
        OrientedSlicesd(["image"], slices=slices)


def test_pictures_are_no_volumes():
    with pytest.raises(ValueError, match=r"a volume is \(1, 4, 5\); it must be a MetaTensor"):
        Orientedd(["image"])({"image": torch.zeros(1, 4, 5)})
    assert upright(HEART).shape == VOLUME.shape
