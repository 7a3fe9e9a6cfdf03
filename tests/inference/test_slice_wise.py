from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(2, 3, 3, padding=1)


def test_each_slice_is_scored_by_itself(network):
    """Equal to one call a slice, also with windows that overlap and batches that cut through cases."""
    volumes = image(2, 2, 10, 9, 5)
    arguments = ((8, 8), (3, 4))
    found = SliceWise(*arguments, batch_size=3).scores_of_all(volumes, {"one": network})["one"]
    assert found.shape == (2, 3, 10, 9, 5)
    for z in range(5):
        expected = SlidingWindow(*arguments)(volumes[..., z], network)
        torch.testing.assert_close(found[..., z], expected)


def test_one_window_is_the_network(network):
    volumes = image(1, 2, 8, 8, 3)
    found = SliceWise((8, 8), (8, 8))(volumes, network)
    with torch.no_grad():
        expected = torch.stack([network(volumes[..., z]).softmax(1) for z in range(3)], dim=-1)
    torch.testing.assert_close(found, expected)


def test_metadata_stay(network):
    """As `Invertd` of a bundle's `inference.yaml` needs them."""
    volume = MetaTensor(image(1, 2, 8, 8, 3), meta={"filename_or_obj": "a.nii.gz"})
    found = SliceWise((8, 8), (8, 8))(volume, network)
    assert isinstance(found, MetaTensor)
    assert found.meta["filename_or_obj"] == "a.nii.gz"


def test_pictures_are_refused(network):
    with pytest.raises(ValueError, match=r"images are \(1, 2, 8, 8\); slice by slice, they must be \(B, C, X, Y, Z\)"):
        SliceWise((8, 8), (8, 8))(image(1, 2, 8, 8), network)
