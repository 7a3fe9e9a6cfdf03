"""nnU-Net's rules on examples with known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mednoisy.configure import patches
from tests.configure.made import seen


@pytest.mark.parametrize(
    ("size", "spacing", "kind"),
    [
        ((512, 512, 300), (0.8, 0.8, 1.0), "volumes"),
        ((216, 256, 9), (1.5, 1.5, 10.0), "slices"),
        ((320, 320, 20), (0.6, 0.6, 3.6), "volumes"),  # as anisotropic, but of many slices
        ((256, 256, 15), (1.0, 1.0, 2.5), "volumes"),  # few slices, not three times coarser
        ((100, 100, 6), (1.0, 1.0, 1.0), "slices"),  # too few to be halved
    ],
)
def test_kind(size, spacing, kind):
    assert patches.kind_of(seen(size, spacing)) == kind


def test_the_coarse_axis_takes_the_tenth_percentile_and_never_gets_finer_than_the_others():
    thick = seen((320, 320, 20), (0.5, 0.5, 5.0))
    steps = [1.0, *range(2, 12)]  # of which the tenth percentile is the second
    some = replace(thick, sizes=[[320, 320, 20]] * 11, spacings=[[0.5, 0.5, step] for step in steps])
    assert patches.target_spacing(some) == [0.5, 0.5, 2.0]
    thinner = replace(some, spacings=[[0.5, 0.5, 0.1]] * 3 + [[0.5, 0.5, 5.0]] * 8)
    assert patches.target_spacing(thinner) == [0.5, 0.5, 0.5]
    alike = seen((200, 200, 100), (1.0, 1.0, 1.5))
    assert patches.target_spacing(alike) == [1.0, 1.0, 1.5]


@pytest.mark.parametrize(
    ("patch", "spacing", "strides"),
    [
        ((112, 112, 80), (0.6, 0.6, 0.6), [[2, 2, 2]] * 4),
        ((256, 224, 20), (0.5, 0.5, 3.0), [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]),
        ((32, 32, 12), (1.0, 1.0, 1.0), [[2, 2, 2], [2, 2, 1], [2, 2, 1]]),  # 12 halves to 6, which is below 8
        ((7, 7, 7), (1.0, 1.0, 1.0), []),
        ((24, 24, 16), (1.0, 1.0, 3.0), [[2, 2, 1], [2, 2, 2]]),  # 8 are left along the last axis, too few alone
    ],
)
def test_strides(patch, spacing, strides):
    assert patches.strides_for(patch, spacing) == strides


@pytest.mark.parametrize("most", [20_000, 200_000, 2_000_000])
@pytest.mark.parametrize(
    ("size", "spacing"),
    [
        ((192, 142, 88), (0.6, 0.6, 0.6)),
        ((400, 400, 30), (0.5, 0.5, 3.0)),
        ((48, 48, 32), (2.5, 2.5, 2.5)),
        ((30, 500, 17), (1, 1, 1)),
    ],
)
def test_a_patch_fits_the_limit_its_strides_and_the_image(size, spacing, most):
    patch, strides = patches.patch_for(size, spacing, most)
    along = [math.prod(level[axis] for level in strides) for axis in range(3)]
    assert math.prod(patch) <= most
    assert all(side % multiple == 0 for side, multiple in zip(patch, along, strict=True))
    assert all(side < whole + multiple for side, whole, multiple in zip(patch, size, along, strict=True))


def test_a_cube_in_millimetres_has_fewer_voxels_along_the_coarse_axis():
    patch, _ = patches.patch_for((400, 400, 100), (1.0, 1.0, 4.0), 64 * 64 * 16)
    assert patch == [64, 64, 16]


def test_spacing_grows_until_a_patch_holds_a_quarter_and_no_further_than_twice():
    image = seen((128, 128, 128), (1.0, 1.0, 1.0))
    spacing, patch, _ = patches.coarsened(image, [1.0] * 3, 64**3)
    held = math.prod(patch) / math.prod(patches.size_at(image, spacing))
    assert 0.25 <= held < 0.4
    assert 1.2 < spacing[0] < 1.7
    assert patches.coarsened(seen((512, 512, 512), (1.0, 1.0, 1.0)), [1.0] * 3, 32**3)[0] == [2.0] * 3
    assert patches.coarsened(seen((64, 64, 64), (1.0, 1.0, 1.0)), [1.0] * 3, 64**3)[0] == [1.0] * 3


def test_pictures_keep_their_shape_and_are_not_enlarged():
    assert patches.picture_size([480, 640], 256**2) == [208, 288]
    assert patches.picture_size([100, 100], 256**2) == [96, 96]
    assert patches.picture_size([20, 20], 256**2) == [64, 64]


def test_squares_of_slices():
    assert patches.side_for(300, 1.5, 320) == (208, 1.5)
    assert patches.side_for(300, 1.5, 100) == (96, 3.12)
