from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.load_case import LoadCased
from mednoisy.data.resizing import ResizedInPlaned
from mednoisy.data.volume_slices import Slices, check_slices_last
from mednoisy.errors import UserError


def volumes() -> CachedCases:
    """Two volumes of 3 and 2 slices; the second has no label. Voxels count up."""

    def load(case):
        shape = (1, 4, 5, case["slices"])
        image = MetaTensor(
            torch.arange(20.0 * case["slices"]).reshape(shape), affine=torch.diag(torch.tensor([2.0, 3, 9, 1]))
        )
        return {"image": image, "id": case["id"]} | ({"label": image > 7} if case["slices"] == 3 else {})

    return CachedCases([{"id": "a", "slices": 3}, {"id": "b", "slices": 2}], load)


def test_every_slice_is_a_case():
    slices = Slices(volumes())
    assert [slices[n]["id"] for n in range(len(slices))] == ["a/0", "a/1", "a/2", "b/0", "b/1"]
    image = torch.arange(60.0).reshape(1, 4, 5, 3)
    for n in range(3):
        assert torch.equal(slices[n]["image"], image[..., n])
        assert torch.equal(slices[n]["label"], (image[0, ..., n] > 7).to(torch.uint8))
    assert "label" not in slices[3]
    assert slices[4]["spacing"] == (2.0, 3.0)


def test_slices_take_no_memory_of_their_own():
    cases = volumes()
    slices = Slices(cases)
    assert slices[4]["image"].untyped_storage().data_ptr() == cases[1]["image"].untyped_storage().data_ptr()
    assert slices.nbytes == cases.nbytes


def test_their_volumes_are_at_hand():
    cases = volumes()
    assert Slices(cases).items is cases.items


def test_more_volumes_are_more_slices():
    slices = Slices(volumes())
    longer = slices.extended([{"id": "c", "slices": 1}], repeats=2)
    assert [longer[n]["id"] for n in range(len(longer))] == [*["a/0", "a/1", "a/2", "b/0", "b/1"] * 2, "c/0"]
    assert len(slices) == 5


def test_no_volumes_are_no_slices():
    assert len(Slices(CachedCases([], dict))) == 0


@pytest.mark.parametrize(
    ("shape", "spacing", "located", "axis"),
    [
        ((64, 56, 8), (1.5, 1.5, 10), True, None),
        ((8, 64, 56), (10, 1.5, 1.5), True, 1),
        ((64, 8, 56), (1.5, 10, 1.5), True, 2),
        ((64, 64, 64), (1.0, 1.2, 1.0), True, None),
        ((8, 56, 64), (1, 1, 1), False, 1),
        ((64, 56, 8), (1, 1, 1), False, None),
        ((60, 50, 64), (1, 1, 1), False, None),
        ((8, 56, 64), (1.5, 1.5, 1.5), True, None),  # it says so
    ],
)
def test_slices_must_lie_along_the_last_axis(shape, spacing, located, axis):
    if axis is None:
        check_slices_last(shape, spacing, located)
        return
    message = rf"E245 case 'p7': slices are cut along the last axis, but .*: they seem to lie along axis {axis}\. Store"
    with pytest.raises(UserError, match=message):
        check_slices_last(shape, spacing, located, case="p7")


def test_a_volume_with_its_slices_elsewhere_is_refused_when_it_is_resized(tmp_path):
    affine = np.zeros((4, 4))
    affine[[0, 1, 2], [1, 2, 0]] = (1.5, 1.5, 10)
    affine[3, 3] = 1
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(8, 64, 56)), affine), tmp_path / "a.nii.gz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.random.default_rng(0).normal(size=(8, 56, 64))
    for name in ("a.nii.gz", "a.h5"):
        item = LoadCased(("image",))({"id": "p7", "image": str(tmp_path / name)})
        with pytest.raises(UserError, match="E245 case 'p7'"):
            ResizedInPlaned(["image"], [32, 32, -1])(item)
