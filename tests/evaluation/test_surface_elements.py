from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from scipy import ndimage

from mednoisy.evaluation.surface_elements import element_measures, surface_element_nsd


def blobs(seed, shape, threshold):
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((2, *shape))
    smooth = np.stack([ndimage.gaussian_filter(one, 1.5) for one in noise])
    return smooth > np.quantile(smooth, threshold)


def golden_pairs(golden):
    tables = {
        pair["name"]: pair["deepmind_surface_distance"]
        for pair in json.loads(golden("surface_metrics_la.json").read_text())["pairs"]
    }
    with np.load(golden("surface_metrics_la.npz")) as figures:
        for name, table in tables.items():
            shape = tuple(figures[f"{name}__shape"])
            bits = [np.unpackbits(figures[f"{name}__{side}"])[: math.prod(shape)] for side in ("pred", "gt")]
            yield name, *(flat.reshape(shape).astype(bool) for flat in bits), table


def test_golden_surface_dice(golden):
    """Published figures on real atria, slices and masks at the border, for three spacings and two tolerances."""
    spacings = {"voxel_1": (1.0, 1.0, 1.0), "iso_0.625": (0.625,) * 3, "aniso_0.6_0.8_3.0": (0.6, 0.8, 3.0)}
    compared = 0
    for name, prediction, reference, table in golden_pairs(golden):
        for (key, spacing), tolerance in itertools.product(spacings.items(), (1, 2)):
            value = surface_element_nsd(prediction, reference, spacing[: prediction.ndim], tolerance)
            assert value == pytest.approx(table[key][f"surface_dice_{tolerance}mm"], rel=1e-9), (name, key)
            compared += 1
    assert compared == 14 * 3 * 2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.9), (2.0, 3.0)])
@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_the_package_gives_the_same_on_random_masks(spacing, threshold):
    """Masks that cut every border and hold every kind of block."""
    peer = pytest.importorskip("surface_distance")
    shape = (13, 14, 15) if len(spacing) == 3 else (40, 50)
    for seed in range(3):
        prediction, reference = blobs(seed, shape, threshold)
        for tolerance in (0.5, 1.05, 2.2):
            expected = peer.compute_surface_dice_at_tolerance(
                peer.compute_surface_distances(reference, prediction, spacing), tolerance
            )
            value = surface_element_nsd(prediction, reference, spacing, tolerance)
            assert value == pytest.approx(expected, rel=1e-9)


def test_the_package_has_the_same_area_for_every_code():
    tables = pytest.importorskip("surface_distance.lookup_tables")
    for spacing in ((1.0, 1.0, 1.0), (0.3, 1.7, 4.1)):
        areas = element_measures(spacing)
        theirs = tables.create_table_neighbour_code_to_surface_area(spacing)
        assert areas == pytest.approx(reordered(theirs, tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL), rel=1e-12)
    lengths = tables.create_table_neighbour_code_to_contour_length((0.3, 1.7))
    expected = reordered(lengths, tables.ENCODE_NEIGHBOURHOOD_2D_KERNEL)
    assert element_measures((0.3, 1.7)) == pytest.approx(expected, rel=1e-12)


def reordered(table, kernel):
    """A table by the package's codes as one by ours: its corners have the weights of a kernel, ours bits in C order."""
    weights = kernel.ravel()
    return [
        table[sum(int(weight) for bit, weight in enumerate(weights) if code >> bit & 1)] for code in range(len(table))
    ]


def test_elements_worked_out_by_hand():
    """One corner: half a diagonal, or a triangle of sides sqrt(1/2); a whole side: one voxel's edge or face."""
    lengths, areas = element_measures((3.0, 4.0)), element_measures((2.0, 3.0, 5.0))
    assert lengths[[0, 15]].tolist() == areas[[0, 255]].tolist() == [0, 0]
    assert lengths[0b0001] == pytest.approx(2.5)
    assert lengths[0b0011] == pytest.approx(4)  # corners (0, 0) and (0, 1): the segment runs along the second axis
    assert lengths[0b0101] == pytest.approx(3)
    assert lengths[0b1001] == pytest.approx(5)  # two corners across: each is cut off
    assert areas[0b00001111] == pytest.approx(15)  # the four corners with x = 0: a plane across the first axis
    assert element_measures((1.0, 1.0, 1.0))[1] == pytest.approx(math.sqrt(3) / 8)


def test_a_slab_moved_by_two_voxels():
    """A slab of 6x10x10 voxels: two faces of 81 blocks, a rim around each, and five rings of 36 and four edges."""
    prediction, reference = np.zeros((20, 12, 12), bool), np.zeros((20, 12, 12), bool)
    prediction[4:10, 1:11, 1:11] = reference[6:12, 1:11, 1:11] = True
    ring = 4 * 9 + 4 * math.sqrt(1 / 2)
    rim = 4 * 9 * math.sqrt(1 / 2) + 4 * math.sqrt(3) / 8
    shared = 4 * ring + rim  # where the other has a ring or its rim
    assert surface_element_nsd(prediction, reference, (1, 1, 1), 0.9) == pytest.approx(
        shared / (2 * 81 + 5 * ring + 2 * rim), rel=1e-12
    )
    assert surface_element_nsd(prediction, reference, (1, 1, 1), 2.0) == 1


def test_empty_masks():
    empty, full = np.zeros((3, 4, 5), bool), np.ones((3, 4, 5), bool)
    assert surface_element_nsd(empty, full, (1, 1, 1), 1.0) == surface_element_nsd(full, empty, (1, 1, 1), 1.0) == 0
    assert math.isnan(surface_element_nsd(empty, empty, (1, 1, 1), 1.0))
    assert surface_element_nsd(full, full, (1, 1, 1), 0.0) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be equal"):
        surface_element_nsd(np.ones((3, 3), bool), np.ones((3, 4), bool), (1, 1), 1.0)
    with pytest.raises(ValueError, match="spacing has 3 entries"):
        surface_element_nsd(np.ones((3, 3), bool), np.ones((3, 3), bool), (1, 1, 1), 1.0)
