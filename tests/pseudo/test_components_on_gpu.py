"""The components that a GPU finds, against the CPU's; Triton's interpreter (tests/conftest.py) runs the kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mednoisy.pseudo.cleanup import largest_components
from mednoisy.pseudo.components_on_gpu import largest_on_gpu


@pytest.mark.parametrize(("shape", "neighbours"), [((3, 17, 23), (4, 8)), ((2, 9, 10, 11), (6, 18, 26))])
@pytest.mark.parametrize("classes", [1, 3, 200])
@pytest.mark.parametrize("density", [0.3, 0.7])
def test_noise_has_the_components_of_the_cpu(shape, neighbours, classes, density):
    generator = torch.Generator().manual_seed(classes)
    foreground = torch.rand(shape, generator=generator) < density
    codes = torch.randint(1, classes + 1, shape, generator=generator) * foreground
    for number in neighbours:
        ours = largest_on_gpu(codes.to(torch.uint8), number)
        assert torch.equal(ours, largest_components(codes.to(torch.uint8), number))


def test_a_spiral_is_one_component():
    """Its ends are far from each other along the path, and near in space; unions travel many blocks."""
    spiral = np.zeros((41, 41), dtype=np.uint8)
    for ring in range(0, 20, 2):
        spiral[ring, ring : 41 - ring] = spiral[40 - ring, ring : 41 - ring] = 1
        spiral[ring : 41 - ring, ring] = spiral[ring : 41 - ring, 40 - ring] = 1
        spiral[ring + 1, ring] = 0
        if ring:
            spiral[ring, ring - 1] = 1
    codes = torch.from_numpy(spiral)[None]
    assert torch.equal(largest_on_gpu(codes, 4), codes)


def test_the_first_of_equal_components_stays():
    codes = torch.tensor([[[1, 0, 1, 0, 2], [0, 0, 0, 0, 2]]], dtype=torch.uint8)
    assert largest_on_gpu(codes, 8).tolist() == [[[1, 0, 0, 0, 2], [0, 0, 0, 0, 2]]]


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 1, 1, 1)])
def test_background_alone_stays(shape):
    codes = torch.zeros(shape, dtype=torch.uint8)
    assert torch.equal(largest_on_gpu(codes, 8 if len(shape) == 3 else 26), codes)


def test_samples_do_not_touch():
    """The last voxel of a sample and the first of the next are neighbours in memory alone."""
    codes = torch.zeros((2, 2, 3), dtype=torch.uint8)
    codes[0, 1, 2] = codes[1, 0, 0] = codes[1, 0, 1] = 1
    assert torch.equal(largest_on_gpu(codes, 8), codes)
