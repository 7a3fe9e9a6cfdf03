from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from mednoisy.evaluation.surfaces import bounding_box, surface, surface_distances


def masks(seed, shape, kind):
    draw = np.random.Generator(np.random.PCG64(seed))
    noise = draw.standard_normal((2, *shape))
    if kind == "speckle":
        return noise > 1.5
    smooth = np.stack([ndimage.gaussian_filter(one, 2) for one in noise])
    if kind == "near":
        smooth[1] = smooth[0] + 0.1 * smooth[1]
    return smooth > np.quantile(smooth, 0.7)


@pytest.mark.parametrize("shape", [(30, 40), (14, 15, 16)])
def test_surface_is_the_mask_without_its_erosion(shape):
    for mask in masks(1, shape, "smooth"):
        assert np.array_equal(surface(mask), mask & ~ndimage.binary_erosion(mask))


@pytest.mark.parametrize("kind", ["speckle", "near", "smooth"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.3, 0.7, 4.0), (5.0, 0.01, 0.01), (2.0, 3.0)])
def test_distances_equal_those_between_all_pairs(kind, spacing):
    shape = (14, 15, 16) if len(spacing) == 3 else (40, 50)
    for seed in range(4):
        prediction, reference = masks(seed, shape, kind)
        start, goal = (np.argwhere(surface(mask)) * spacing for mask in (prediction, reference))
        between = cdist(start, goal)
        forth, back = surface_distances(prediction, reference, spacing)
        assert np.sort(forth) == pytest.approx(np.sort(between.min(axis=1)), rel=1e-12, abs=1e-12)
        assert np.sort(back) == pytest.approx(np.sort(between.min(axis=0)), rel=1e-12, abs=1e-12)


def test_far_apart_is_as_exact_as_near():
    prediction, reference = np.zeros((80, 90, 100), bool), np.zeros((80, 90, 100), bool)
    prediction[0, 0, 0] = reference[79, 89, 99] = True
    expected = [np.sqrt(79**2 + 89**2 + 99**2)]
    assert [list(one) for one in surface_distances(prediction, reference, (1, 1, 1))] == [expected, expected]


def test_exchange_exchanges_the_directions_and_padding_changes_nothing():
    prediction, reference = masks(3, (12, 13, 14), "near")
    forth, back = surface_distances(prediction, reference, (1, 2, 3))
    padded = [np.pad(mask, ((3, 0), (0, 2), (5, 5))) for mask in (reference, prediction)]
    swapped = surface_distances(*padded, (1, 2, 3))
    assert np.array_equal(swapped[0], back)
    assert np.array_equal(swapped[1], forth)


def test_empty_masks_have_no_distances():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    for pair in ((empty, full), (full, empty), (empty, empty)):
        assert [one.size for one in surface_distances(*pair, (1, 1))] == [0, 0]


def test_bounding_box_touches_the_outermost_voxels():
    mask = np.zeros((6, 7, 8), bool)
    mask[2, 3, 4] = mask[4, 1, 4] = True
    assert bounding_box(mask) == (slice(2, 5), slice(1, 4), slice(4, 5))
    assert not mask[bounding_box(mask & False)].size


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 3), bool), (1, 1))
    with pytest.raises(ValueError, match="spacing has 3 entries"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 2), bool), (1, 1, 1))
