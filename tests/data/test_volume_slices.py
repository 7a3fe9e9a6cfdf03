from __future__ import annotations

import torch
from monai.data import MetaTensor

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.volume_slices import Slices


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
