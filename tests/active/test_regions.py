"""Slices and boxes: where they lie, however a volume is stored, and which a batch takes."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from mednoisy.active.catalogue import STRATEGIES, choose
from mednoisy.active.pool import Pool, query_draw
from mednoisy.active.regions import MOST_OF_CASE, Grid, Regions, boxes_of, even_share, inside, slices_of, sums_in
from mednoisy.errors import UserError
from tests.stored_orders import SOME_ORDERS, name_of, stored

SHAPE = (13, 9, 11)
OBLIQUE = np.array([[0.9, 0.1, 0, 3], [-0.1, 0.9, 0, -7], [0, 0, 4.0, 20], [0, 0, 0, 1]])
ABLE = [name for name, entry in STRATEGIES.items() if not {*entry.needs} & {"features", "gradients"}]


def grid(shape=SHAPE, affine=OBLIQUE, located: bool = True, oriented: bool = True) -> Grid:
    return Grid(shape, affine, located, oriented)


def middles_mm(regions: Regions, affine: np.ndarray) -> np.ndarray:
    """Where the middles of regions are in the patient."""
    middles = (regions.start + regions.stop - 1) / 2
    return middles @ affine[:3, :3].T + affine[:3, 3]


def pool_of(regions: Regions, seed: int = 0, patients: list[str] | None = None) -> Pool:
    """All that a strategy may ask of slices and boxes."""
    generator = np.random.default_rng(seed)
    count = len(regions)
    return Pool(
        [f"r{row}" for row in range(count)],
        uncertainty=generator.random(count),
        class_uncertainty=generator.random((count, 3)),
        foreground=generator.integers(0, 50, (count, 2)),
        patients=patients or [f"p{case}" for case in regions.case],
        regions=regions,
        what="boxes",
    )


def overlapping(regions: Regions, rows: list[int]) -> int:
    """Pairs of regions of one case that share voxels, counted by painting them."""
    pairs = 0
    for case in {int(regions.case[row]) for row in rows}:
        painted = np.zeros(regions.stop.max(axis=0), int)
        for row in rows:
            if regions.case[row] == case:
                painted += inside(painted.shape, [regions.corners(row)])
        pairs += int((painted > 1).any())
    return pairs


@pytest.mark.parametrize("order", SOME_ORDERS, ids=name_of)
@pytest.mark.parametrize("make", [slices_of, lambda one: boxes_of(one, (5, 4, 3))], ids=["slices", "boxes"])
def test_regions_are_the_same_parts_of_a_patient_however_it_is_stored(order, make):
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), OBLIQUE)
    turned = stored(image, order)
    expected, got = make(grid()), make(grid(turned.shape, turned.affine))
    np.testing.assert_allclose(middles_mm(got, turned.affine), middles_mm(expected, OBLIQUE), atol=1e-6)
    sizes = [np.sort(one.stop - one.start, axis=1) for one in (got, expected)]
    np.testing.assert_array_equal(*sizes)
    assert (got.stop <= turned.shape).all()


def test_slices_are_cut_along_the_coarsest_axis_else_from_bottom_to_top_or_as_asked():
    assert (slices_of(grid()).axis == 2).all()
    coarse = OBLIQUE @ np.diag([6, 1, 0.25, 1])
    assert (slices_of(grid(affine=coarse)).axis == 0).all()
    even = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # stored: front, top, right
    assert (slices_of(grid(affine=even)).axis == 1).all()
    assert (slices_of(grid(affine=even, oriented=False, located=False)).axis == 2).all()
    assert (slices_of(grid(affine=even), 0).axis == 2).all()


def test_boxes_cover_an_image_and_end_where_it_does():
    boxes = boxes_of(grid(), (5, 40, 3))
    assert inside(SHAPE, [boxes.corners(row) for row in range(len(boxes))]).all()
    assert ((boxes.stop - boxes.start) == (5, 9, 3)).all()
    picture = boxes_of(grid((30, 20), np.eye(4), False, False), (8, 8))
    assert picture.corners(len(picture) - 1) == ([22, 12], [30, 20])
    many = boxes_of(grid((400, 400, 200)), (8, 8, 8))
    assert 1000 < len(many) <= MOST_OF_CASE


def test_sums_are_those_of_the_voxels():
    values = np.random.default_rng(0).random(SHAPE)
    for regions in (boxes_of(grid(), (5, 4, 3)), slices_of(grid())):
        corners = [regions.corners(row) for row in range(len(regions))]
        expected = [values[inside(SHAPE, [corner])].sum() for corner in corners]
        np.testing.assert_allclose(sums_in(values, regions), expected, rtol=1e-12)
    flat = boxes_of(grid((30, 20), np.eye(4), False, False), (8, 6))
    np.testing.assert_array_equal(sums_in(np.ones((30, 20)), flat), 48)


@pytest.mark.parametrize("name", ABLE)
def test_no_strategy_takes_boxes_that_overlap_unless_asked(name):
    regions = Regions.joined([boxes_of(grid((20, 20, 20)), (8, 8, 8))] * 3)
    draw = query_draw(0, 0)
    picks = choose(pool_of(regions), name, 9, draw)
    assert picks == choose(pool_of(regions), name, 9, draw)
    rows = [pick.index for pick in picks]
    assert len({*rows}) == 9
    assert overlapping(regions, rows) == 0
    counts = np.bincount(regions.case[rows])
    assert counts.max() <= even_share(9, 3) == 6
    few = choose(pool_of(regions), name, 6, draw, per_patient=2)
    assert np.bincount(regions.case[[pick.index for pick in few]]).tolist() == [2, 2, 2]


def test_overlap_is_allowed_where_asked_for():
    regions = boxes_of(grid((20, 20, 20)), (4, 4, 4))
    pool = pool_of(regions)
    pool.uncertainty[:] = -np.abs(regions.start - 8).sum(axis=1)  # best in the middle, its neighbours next
    chosen = [pick.index for pick in choose(pool, "entropy", 4, query_draw(0, 0), duplicates=True)]
    assert overlapping(regions, chosen) == 1
    apart = [pick.index for pick in choose(pool, "entropy", 4, query_draw(0, 0))]
    assert overlapping(regions, apart) == 0
    assert apart[0] == chosen[0]


def test_slices_of_a_batch_lie_two_slices_and_5_mm_apart():
    for thick, apart in ((8.0, 2), (3.0, 2), (1.0, 5)):
        regions = slices_of(grid((8, 8, 40), np.diag([0.5, 0.5, thick, 1])), 2)
        pool = pool_of(regions)
        pool.uncertainty[:] = np.arange(40)
        numbers = [regions.start[pick.index, 2] for pick in choose(pool, "entropy", 3, query_draw(0, 0))]
        assert numbers == [39, 39 - apart, 39 - 2 * apart]
        numbers = [regions.start[p.index, 2] for p in choose(pool, "entropy", 3, query_draw(0, 0), duplicates=True)]
        assert numbers == [39, 38, 37]


def test_one_of_a_patient_where_there_are_many_and_of_two_scans_together():
    assert [even_share(5, 100), even_share(5, 10), even_share(6, 10), even_share(30, 8)] == [1, 1, 2, 8]
    regions = Regions.joined([slices_of(grid())] * 8)
    patients = [f"p{case // 2}" for case in regions.case]
    picks = choose(pool_of(regions, patients=patients), "entropy", 2, query_draw(0, 0))
    assert len({patients[pick.index] for pick in picks}) == 2


def test_a_budget_that_does_not_fit_is_refused():
    regions = boxes_of(grid((8, 8, 8)), (8, 8, 4))
    pool = pool_of(regions)
    pool.uncertainty[:] = -regions.start[:, 2]
    with pytest.raises(UserError, match=r"E394 only 2 of 3 boxes lie apart, 6 of a patient at most. Ask for 2"):
        choose(pool, "entropy", 3, query_draw(0, 0))
    with pytest.raises(UserError, match="E394 9 boxes are asked for, 5 can be chosen"):
        choose(pool_of(regions), "random", 9, query_draw(0, 0))


def test_pictures_have_no_slices_and_boxes_need_a_side_for_each_axis():
    picture = grid((30, 20), np.eye(4), False, False)
    with pytest.raises(UserError, match=r"E527 --unit slice asks volumes.*30x20"):
        slices_of(picture)
    with pytest.raises(UserError, match=r"E527 --box has 3 numbers.*30x20"):
        boxes_of(picture, (3, 3, 3))
