from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mednoisy.data.axis_order import AxisOrder, coarsest_axis, ends_of, order_towards
from tests.stored_orders import ORDERS, name_of, stored, upright

SHAPE, SPACING = (4, 5, 6), (0.9, 1.1, 3.0)


def volume(angles: tuple[float, float, float], spacing: tuple[float, ...] = SPACING) -> nibabel.Nifti1Image:
    """Voxels that count up, turned about the body's axes by some degrees."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (-37.0, 12.5, 88.0)
    return nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(SHAPE), affine)


def turned(image: nibabel.Nifti1Image, order: AxisOrder) -> np.ndarray:
    """By NumPy alone."""
    array = np.asarray(image.dataobj).transpose(order.axes)
    return np.flip(array, [axis for axis, against in enumerate(order.reversed) if against])


@pytest.mark.parametrize("angles", [(0, 0, 0), (12, -20, 30), (-40, 5, 8)])
@pytest.mark.parametrize("order", ORDERS, ids=name_of)
def test_every_order_becomes_the_one_that_nibabel_finds(angles, order):
    image = stored(volume(angles), order)
    found = order_towards(image.affine, "RAS")
    assert np.array_equal(turned(image, found), upright(image))
    np.testing.assert_allclose(
        found.affine(image.affine, image.shape), nibabel.as_closest_canonical(image).affine, atol=1e-12
    )


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "ASL"])
def test_axes_run_towards_the_ends_that_are_named(orientation):
    for order in ORDERS:
        image = stored(volume((10, 5, -15)), order)
        found = order_towards(image.affine, orientation)
        codes = nibabel.aff2axcodes(found.affine(image.affine, image.shape))
        assert "".join(codes) == orientation


@pytest.mark.parametrize("angles", [(0, 0, 45), (45, 0, 0), (45, 35.264389682754654, 60)])
def test_where_two_orders_are_level_storage_does_not_decide(angles):
    """A volume turned by just 45 degrees, about one axis and so that all three are alike."""
    images = [stored(volume(angles, (1.0, 1.0, 1.0)), order) for order in ORDERS]
    first, *others = [turned(image, order_towards(image.affine, "RAS")) for image in images]
    assert all(np.array_equal(first, other) for other in others)


def test_slices_go_behind_the_others():
    order = AxisOrder((2, 0, 1), (True, False, False)).with_last(0)
    assert order == AxisOrder((0, 1, 2), (False, False, True))
    assert AxisOrder((2, 0, 1)).back == (1, 2, 0)
    assert AxisOrder((0, 1, 2)).unchanged
    assert not order.unchanged


@pytest.mark.parametrize("orientation", ["RA", "RAR", "RLS", "ras", "XYZ", "", "RASI", 5])
def test_what_is_no_orientation_is_refused(orientation):
    with pytest.raises(ValueError, match=r"orientation is .*; it must be one each of R or L, A or P, S or I"):
        ends_of(orientation)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1.5, 1.5, 10), 2), ((10, 1.5, 1.5), 0), ((1, 1.2, 1), 1), ((1, 1, 1.05), None), ((2, 2, 1), None)],
)
def test_the_coarsest_axis_is_coarser_by_a_tenth(spacing, axis):
    assert coarsest_axis(spacing) == axis
