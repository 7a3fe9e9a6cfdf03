"""What a network sees in parts of a case, where it can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mednoisy.active.features import gradient_embedding_of_case, pooled_bottleneck, seen_by_last_layer
from mednoisy.active.region_features import Parts, features_of_parts, gradients_of_parts
from mednoisy.active.uncertainty_maps import gradient_embedding
from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.blocks import Encoder
from mednoisy.networks.unet import UNet


class Means(nn.Module):
    """Its coarsest map holds the means of blocks of two voxels along each axis."""

    def __init__(self, axes: int):
        super().__init__()
        self.encoder = Encoder([nn.AvgPool2d(2) if axes == 2 else nn.AvgPool3d(2)])

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)[-1]


def boxes(shape: tuple[int, ...], *corners: tuple) -> Parts:
    ends = np.array(corners, float)
    return Parts.of(ends[:, 0], ends[:, 1], shape)


def ramp(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32))


def test_a_part_has_the_mean_of_the_cells_that_it_holds_each_as_far_as_it_does():
    """Windows of 4 in 8 x 4 x 4: cells of two voxels, whose means are known."""
    image, inferer = ramp(8, 4, 4), SlidingWindow((4, 4, 4), (4, 4, 4), 2)
    cells = image[0].reshape(4, 2, 2, 2, 2, 2).mean(dim=(1, 3, 5)).numpy()
    parts = boxes(
        (8, 4, 4),
        ((0, 0, 0), (8, 4, 4)),
        ((2, 0, 0), (6, 4, 4)),  # in two windows
        ((3, 0, 0), (4, 4, 4)),  # a slice within a row of cells
        ((3, 0, 2), (6, 3, 4)),  # half of the second row and the third; in the second axis one cell and a half
        ((1.5, 0, 0), (2.5, 4, 4)),
    )
    found = features_of_parts(Means(3), image, inferer, parts)[:, 0]
    by_hand = [
        cells.mean(),
        cells[1:3].mean(),
        cells[1].mean(),
        np.average(cells[1:3, :, 1], weights=np.outer([1, 2], [2, 1])),
        (cells[0].mean() + cells[1].mean()) / 2,
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    assert found[0] == pytest.approx(pooled_bottleneck(Means(3), image, inferer)[0], rel=1e-6)


def test_of_a_volume_for_a_network_in_2d_each_slice_has_its_own_map():
    image, inferer = ramp(4, 6, 3), SliceWise((4, 4), (4, 4), 2)
    slices = [((0, 0, number), (4, 6, number + 1)) for number in range(3)]
    found = features_of_parts(Means(2), image, inferer, boxes((4, 6, 3), *slices))[:, 0]
    np.testing.assert_allclose(found, [image[0, :, :, number].mean() for number in range(3)], rtol=1e-4, atol=1e-6)
    (whole,) = features_of_parts(Means(2), image, inferer, boxes((4, 6, 3), ((0, 0, 1), (4, 2, 3))))
    np.testing.assert_allclose(whole, [image[0, :, :2, 1:].mean()], rtol=1e-4)


def test_zeros_around_a_small_image_count_nothing_and_outside_lies_the_nearest_voxel():
    image, inferer = torch.arange(12.0).reshape(1, 6, 2), SlidingWindow((4, 4), (4, 4), 2)
    parts = boxes((6, 2), ((0, 0), (2, 2)), ((-5, 0), (-1, 2)), ((9, 0), (12, 2)), ((4, -3), (9, 9)))
    found = features_of_parts(Means(2), image, inferer, parts)[:, 0]
    # one column of zeros on each side, so that a cell holds a voxel's column and zeros; windows share rows 2 and 3
    rows = image[0].reshape(3, 2, 2).mean(dim=1).numpy() / 2
    np.testing.assert_allclose(found, [rows[0].mean(), rows[0].mean(), rows[2].mean(), rows[2].mean()], rtol=1e-6)


@pytest.mark.parametrize("wise", [False, True])
def test_gradients_of_the_whole_are_those_of_the_case_and_of_a_part_those_of_its_voxels(wise):
    torch.manual_seed(0)
    network = UNet(2 if wise else 3, 1, 3, widths=(4, 6), dropout=(0, 0)).eval()
    image = ramp(8, 8, 8)
    inferer = SliceWise((8, 8), (8, 8), 2) if wise else SlidingWindow((8, 8, 8), (8, 8, 8), 1)
    parts = boxes((8, 8, 8), ((0, 0, 0), (8, 8, 8)), ((1, 0, 3), (6, 8, 5)))
    whole, found = gradients_of_parts(network, image, inferer, parts)
    np.testing.assert_allclose(whole, gradient_embedding_of_case(network, image, inferer), rtol=1e-4, atol=1e-6)
    windows = [(p, h) for p, h, _ in seen_by_last_layer(network, image, inferer)]
    p, h = (torch.stack(maps, dim=-1) if wise else maps[0] for maps in zip(*windows, strict=True))
    by_hand = gradient_embedding(p[:, 1:6, :, 3:5], h[:, 1:6, :, 3:5])
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-6)
    assert np.abs(found).max() > 1e-3
