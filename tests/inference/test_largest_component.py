"""Final label maps keep the largest component of each class, in predictions and in `inference.yaml` alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import Tensor, nn

from mednoisy.data.images import write_nifti
from mednoisy.data.load_case import LoadCased
from mednoisy.inference.largest_component import KeepLargestd, kept_largest
from mednoisy.inference.prediction import predict_case
from mednoisy.inference.sliding_window import SlidingWindow


def two_bodies() -> Tensor:
    """A body of 12 voxels that touches another of 2 by edges alone, and one of 4 far off; class 2 once."""
    labels = torch.zeros(10, 10, 4, dtype=torch.uint8)
    labels[1:4, 1:3, 1:3] = 1
    labels[4, 3, 1:3] = 1
    labels[7:9, 7:9, 2] = 1
    labels[0, 9, 0] = 2
    return labels


@pytest.mark.parametrize(("neighbours", "left"), [(None, 18), (6, 12), (18, 14), (26, 14)])
def test_what_counts_as_one_component(neighbours, left):
    kept = kept_largest(two_bodies(), neighbours)
    assert int((kept == 1).sum()) == left
    assert int((kept == 2).sum()) == 1


class Threshold(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(image), 10 * (image - 0.5)], dim=1)


def test_predictions_are_cleaned_where_the_inferer_says_so(tmp_path):
    bodies = (two_bodies() == 1).numpy().astype(np.float32)
    write_nifti(tmp_path / "scan.nii.gz", bodies, np.eye(4))
    found = {}
    for neighbours in (None, 18):
        window = SlidingWindow((4, 4, 4), (4, 4, 4), keep_largest=neighbours)
        chain = Compose([LoadCased("image")])
        found[neighbours] = predict_case(tmp_path / "scan.nii.gz", {"one": Threshold()}, chain, window).labels["one"]
    np.testing.assert_array_equal(found[None], bodies)
    np.testing.assert_array_equal(found[18], kept_largest(torch.from_numpy(bodies).to(torch.uint8), 18))
    assert found[18].sum() == 14


def test_the_transform_keeps_place_and_kind():
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    kept = KeepLargestd("pred", 18)({"pred": MetaTensor(two_bodies()[None].float(), affine=affine)})["pred"]
    assert isinstance(kept, MetaTensor)
    assert torch.equal(kept.affine, affine)
    assert torch.equal(kept.as_tensor()[0], kept_largest(two_bodies(), 18))
    plain = KeepLargestd("pred", None)({"pred": two_bodies()[None]})["pred"]
    assert torch.equal(plain[0], two_bodies())


def test_a_voxel_of_two_axes_has_no_18_neighbours():
    with pytest.raises(ValueError, match="connectivity is 18; in 2D it is one of 4, 8 or 'full'"):
        SlidingWindow((4, 4), (4, 4), keep_largest=18)
