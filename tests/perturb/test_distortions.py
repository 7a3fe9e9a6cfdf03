from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from mednoisy.perturb.distortions import (
    equalised_locally,
    median_of_neighbours,
    motion_blurred,
)


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("angle", "line"), [(0.0, (3, slice(2, 5))), (math.pi / 2, (slice(2, 5), 3))])
def test_motion_draws_a_point_out_to_a_line(angle, line):
    point, expected = torch.zeros(1, 7, 7), torch.zeros(1, 7, 7)
    point[0, 3, 3], expected[0][line] = 3.0, 1.0
    torch.testing.assert_close(motion_blurred(point[None], [3], [angle])[0], expected)


@pytest.mark.parametrize("angle", [0.3, 2.0])
def test_motion_in_any_direction_keeps_the_mean_and_the_middle(angle):
    point = torch.zeros(2, 11, 11)
    point[:, 5, 5] = 1.0
    blurred = motion_blurred(point[None], [5], [angle])[0]
    torch.testing.assert_close(blurred.sum(dim=(1, 2)), torch.ones(2))
    torch.testing.assert_close(blurred, blurred.flip(1, 2))


def test_no_motion_changes_nothing():
    torch.testing.assert_close(motion_blurred(image(1, 3, 5, 6), [1], [0.7]), image(1, 3, 5, 6))


def test_motion_over_an_even_number_of_pixels():
    with pytest.raises(ValueError, match="length is 4; the line needs a pixel in its middle, so an odd number"):
        motion_blurred(image(1, 1, 5, 5), [4], [0.0])


def test_medians_are_those_of_scipy():
    expected = ndimage.median_filter(image(3, 11, 9).numpy(), size=(1, 3, 3), mode="nearest")
    assert torch.equal(median_of_neighbours(image(3, 11, 9)[None])[0], torch.from_numpy(expected))


def test_one_tile_without_limit_gives_each_level_its_rank():
    """Plain equalisation of a histogram: the new brightness is the share of pixels that are not brighter."""
    levels = torch.tensor([[0.0, 51.0, 51.0, 102.0], [102.0, 102.0, 204.0, 255.0]])[None]
    expected = torch.tensor([[1, 3, 3, 6], [6, 6, 7, 8]])[None] / 8 * 255
    expected[0, 0, 0] = 0.0  # black has no colour to scale
    torch.testing.assert_close(equalised_locally(levels[None], clips=[256], tiles=1)[0], expected)


def test_a_tile_uses_its_own_histogram_in_its_middle_and_a_mean_between():
    """At level 51 the left tile's curve gives 1, the right one's 2/3; pixel 3 is two thirds of the way between."""
    row = torch.tensor([0.0, 51.0, 0.0, 51.0, 51.0, 255.0])
    equalised = equalised_locally(row.expand(1, 1, 6, 6).clone(), clips=[256], tiles=2)[0, 0, 0] / 255
    torch.testing.assert_close(equalised[[1, 3, 4]], torch.tensor([1, 7 / 9, 2 / 3]))


def test_colours_keep_their_hue():
    """Channels are scaled alike, so their ratios above the image's lowest value stay."""
    picture = image(3, 24, 24) + 0.1
    picture[0, 0, 0] = 0.0
    ratio = (equalised_locally(picture[None], [3.0])[0] / picture)[:, 1:]
    torch.testing.assert_close(ratio[0], ratio[1])
    torch.testing.assert_close(ratio[0], ratio[2])


def test_equalising_does_not_depend_on_the_unit():
    in_another = equalised_locally(image(1, 3, 32, 32) * 512 - 256, [2.0])
    torch.testing.assert_close(in_another, equalised_locally(image(1, 3, 32, 32), [2.0]) * 512 - 256, atol=1e-4, rtol=0)


def test_a_higher_limit_gives_more_contrast():
    dull = 0.5 + 0.02 * image(1, 64, 64)
    dull[0, 0, 0], dull[0, 0, 1] = 0.0, 1.0
    limits = np.array([1.0, 4.0, 40.0])
    spreads = [changed[:, 8:].std().item() for changed in equalised_locally(dull.expand(3, 1, 64, 64), limits)]
    assert dull[:, 8:].std() * 0.9 < spreads[0] < spreads[1] < spreads[2]


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_an_even_image_stays(value):
    even = torch.full((1, 16, 16), value)
    assert torch.equal(equalised_locally(even[None], [4.0])[0], even)
