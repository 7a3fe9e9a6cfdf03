from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from mednoisy.evaluation import distance_search
from mednoisy.evaluation import surface_distances as surfaces
from mednoisy.evaluation.bounding_boxes import bounding_box, union_box
from mednoisy.evaluation.distance_search import FarVoxelSearch
from mednoisy.evaluation.surface_distances import directed_distances, nearest_distances, surface, surface_distances


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


@pytest.mark.parametrize("search", ["by_pairs", "by_tree", "by_axes"])
@pytest.mark.parametrize(
    "spacing", [(1.0, 1.0, 1.0), (0.625, 0.625, 0.625), (0.6, 0.8, 3.0), (3.0, 0.8, 0.6), (2.0, 3.0)]
)
def test_far_searches_equal_distances_between_all_pairs(search, spacing):
    """Each alone, on points near and far, with goals that leave whole rows and planes empty."""
    draw = np.random.Generator(np.random.PCG64(5))
    shape = (25, 70, 31)[: len(spacing)]
    for share in (0.001,) if search == "by_pairs" else (0.3, 0.001):
        goal = draw.random(shape) < share
        goal[:, shape[1] // 2 :] = False
        goal[0, 0] = True
        points = np.argwhere(draw.random(shape) < 0.05)
        expected = cdist(points * spacing, np.argwhere(goal) * spacing).min(axis=1)
        found = getattr(FarVoxelSearch(goal, np.count_nonzero(goal), np.array(spacing)), search)(points)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.8, 3.0)])
def test_every_choice_of_search_gives_the_same_distances(spacing, monkeypatch):
    """Costs decide which search answers; made absurd, they must not change a figure."""
    prediction, reference = masks(6, (30, 31, 32), "smooth")
    expected = surface_distances(prediction, reference, spacing)
    for changed in (
        {"LOOKUP": 1e9, "TREE_START": 1e12},  # no shell, all by axes
        {"LOOKUP": 1e9, "AXES_START": 1e12},  # no shell, all by the tree
        {"LOOKUP": 1e9, "TREE_START": 1e12, "AXES_STEP": 1e9},  # by axes, which hands over to the tree at once
        {"LOOKUP": 0.0, "OFFSET": 0.0},  # all shells
        {"BLOCK": 64, "BLOCK_LIMIT": 2**31, "PLACES": 1},  # many blocks, a tree from many parts
        {"BLOCK": 64, "BLOCK_LIMIT": 2**31, "ENTRIES": 999, "ENTRIES_LIMIT": 2**31, "LOOKUP": 1e9, "TREE_START": 1e12},
        {"TREE_SMALL": 0, "TREE_LIMIT": 2**31, "LOOKUP": 1e9, "COLUMNS": 7},  # no tree, columns in many parts
        {"ROWS": 3, "FIRST_STEPS": 1, "LOOKUP": 1e9, "TREE_START": 1e12},
    ):
        with monkeypatch.context() as patch:
            for name, value in changed.items():
                patch.setattr(distance_search if hasattr(distance_search, name) else surfaces, name, value)
            for found, wanted in zip(surface_distances(prediction, reference, spacing), expected, strict=True):
                assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12), changed


def test_distances_come_in_the_order_of_the_voxels_they_start_from():
    start, goal = np.zeros((6, 7, 8), bool), np.zeros((6, 7, 8), bool)
    start[0, 1, 2] = start[3, 0, 0] = start[5, 6, 7] = goal[0, 1, 5] = goal[5, 6, 7] = True
    assert nearest_distances(start, goal, (1.0, 1.0, 2.0)) == pytest.approx([6, np.sqrt(9 + 1 + 100), 0])
    with pytest.raises(ValueError, match="goal holds no true voxel"):
        nearest_distances(start, goal & False, (1, 1, 1))


def test_squares_stay_exact_along_an_axis_of_thousands():
    goal = np.zeros((9000, 3), bool)
    goal[0, 0] = goal[8999, 2] = True
    points = np.array([[4499, 1], [4500, 0], [8999, 0]])
    expected = np.sqrt([4499**2 + 1, 4499**2 + 4, 4])
    assert FarVoxelSearch(goal, 2, np.ones(2)).by_axes(points) == pytest.approx(expected, rel=1e-12)


def test_far_apart_is_as_exact_as_near():
    prediction, reference = np.zeros((80, 90, 100), bool), np.zeros((80, 90, 100), bool)
    prediction[0, 0, 0] = reference[79, 89, 99] = True
    expected = [np.sqrt(79**2 + 89**2 + 99**2)]
    assert [list(one) for one in surface_distances(prediction, reference, (1, 1, 1))] == [expected, expected]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.8, 3.0), (2.0, 3.0)])
def test_what_is_seen_from_a_side_is_all_that_points_beyond_it_need(spacing, monkeypatch):
    monkeypatch.setattr(distance_search, "SIDE_START", 0.0)
    monkeypatch.setattr(distance_search, "PAIRS", 0)
    draw = np.random.Generator(np.random.PCG64(9))
    for axis in range(len(spacing)):
        shape = [12] * len(spacing)
        shape[axis] = 40
        thick = np.moveaxis(draw.random(shape) < 0.5, axis, 0)
        points, goal = np.zeros_like(thick), np.zeros_like(thick)
        points[:10], goal[28:] = thick[:10], thick[28:]
        points, goal = np.moveaxis(points, 0, axis), np.moveaxis(goal, 0, axis)
        for start, end in ((points, goal), (goal, points)):
            search = FarVoxelSearch(end, np.count_nonzero(end), np.array(spacing))
            found = search.distances(np.argwhere(start), 1)
            assert list(search._trees) == [(axis, start is goal)]
            expected = cdist(np.argwhere(start) * spacing, np.argwhere(end) * spacing).min(axis=1)
            assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 40, 50), (40, 2, 50), (30, 6, 6), (1, 300), (2, 1, 1)])
def test_thin_masks_are_as_exact_as_others(shape):
    """Neighbours beyond a thin array are not looked up, and none is taken from the next row."""
    spacing = (0.7, 1.0, 2.0)[: len(shape)]
    prediction, reference = np.random.Generator(np.random.PCG64(11)).random((2, *shape)) < 0.1
    prediction.flat[0] = reference.flat[-1] = True
    between = cdist(*(np.argwhere(surface(mask)) * spacing for mask in (prediction, reference)))
    forth, back = surface_distances(prediction, reference, spacing)
    assert np.sort(forth) == pytest.approx(np.sort(between.min(axis=1)), rel=1e-12, abs=1e-12)
    assert np.sort(back) == pytest.approx(np.sort(between.min(axis=0)), rel=1e-12, abs=1e-12)


def test_blocks_hold_the_distances_of_the_voxels_apart():
    prediction, reference = masks(8, (60, 61, 62), "speckle")
    for distances, mask in zip(
        directed_distances(prediction, reference, (1, 1, 1)), (prediction, reference), strict=True
    ):
        together = np.concatenate(list(distances.blocks))
        assert (together > 0).all()
        assert together.size == distances.apart
        assert distances.shared + distances.apart == np.count_nonzero(surface(mask))


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
    assert bounding_box(np.asfortranarray(mask)) == bounding_box(mask)
    assert not mask[bounding_box(mask & False)].size


def test_box_of_the_union_holds_both_boxes():
    one, other, empty = np.zeros((6, 7), int), np.zeros((6, 7), int), np.zeros((6, 7), int)
    one[0, 3], other[4, 2] = 2, 5
    assert union_box(one, other) == union_box(other, one) == (slice(0, 5), slice(2, 4))
    assert union_box(one, empty) == union_box(empty, one) == (slice(0, 1), slice(3, 4))
    assert not one[union_box(empty, empty)].size


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 3), bool), (1, 1))
    with pytest.raises(ValueError, match="spacing has 3 entries"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 2), bool), (1, 1, 1))
