"""Slices and boxes that a network doubts are found where they were planted, on the grid of the file."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Spacingd, SpatialCropd
from torch import Tensor, nn

from mednoisy.active.catalogue import choose
from mednoisy.active.members import Members
from mednoisy.active.pool import Pick, Pool, query_draw
from mednoisy.active.regions import Regions, inside
from mednoisy.active.scoring import Scorer
from mednoisy.data.load_case import LoadCased
from mednoisy.data.orienting import Orientedd, OrientedSlicesd
from mednoisy.data.resizing import Spacedd
from mednoisy.errors import UserError
from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.blocks import Encoder
from mednoisy.queries.scored_regions import RegionScoring, Unit, check_unit, partly_labeled
from tests.stored_orders import SOME_ORDERS, name_of, stored

SHAPE = (16, 14, 12)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
DRAW = query_draw(0, 0)


class Intensity(nn.Module):
    """Background against foreground by intensity: undecided where it is 0."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([-images, images], dim=1)


def volume(doubt: tuple[slice, ...]) -> nibabel.Nifti1Image:
    """Decided for background everywhere but for a place that is undecided."""
    array = np.full(SHAPE, -4, np.float32)
    array[doubt] = 0
    return nibabel.Nifti1Image(array, AFFINE)


def scoring(strategy: str, unit: Unit, *steps, pooling: str = "mean") -> RegionScoring:
    """With that network, its patch smaller than a case."""
    inferer = SlidingWindow((8, 8, 8), (8, 8, 8))
    chain = Compose([LoadCased(("image",)), *(steps or [Orientedd(("image",), "RAS")])])
    run = SimpleNamespace(
        preprocessing=chain, device=torch.device("cpu"), inferer=inferer, folder="run", scoring_facts={}
    )
    network = Intensity()
    scorer = Scorer(strategy, network, Members("deployed", {"net": network}, DRAW), inferer, pooling)
    wanted = {"entropy": ("uncertainty",), "clasp_pe": ("class_uncertainty",)}.get(strategy, ("foreground",))
    return RegionScoring(unit, wanted, scorer, run, Path(mkdtemp()))  # type: ignore[arg-type]


class BlockMeans(nn.Module):
    """Its coarsest map holds the means of blocks of two voxels along each axis."""

    def __init__(self, axes: int):
        super().__init__()
        self.encoder = Encoder([nn.AvgPool2d(2) if axes == 2 else nn.AvgPool3d(2)])


def comparing(unit: Unit, *steps, wise: bool = False) -> RegionScoring:
    """Without a network that predicts, as from a pretext."""
    inferer = SliceWise((8, 8), (8, 8)) if wise else SlidingWindow((8, 8, 8), (8, 8, 8))
    chain = Compose([LoadCased(("image",)), *(steps or [Orientedd(("image",), "RAS")])])
    run = SimpleNamespace(
        preprocessing=chain, device=torch.device("cpu"), inferer=inferer, folder="run", facts={},
        network=BlockMeans(2 if wise else 3),
    )  # fmt: skip
    return RegionScoring(unit, ("features",), None, None, Path(mkdtemp()), run)  # type: ignore[arg-type]


def chosen(strategy: str, unit: Unit, cases: list, budget: int = 1, *steps) -> tuple[list[Pick], Regions]:
    kept, regions, fields = scoring(strategy, unit, *steps).fields(cases)
    ids = [kept[number]["id"] for number in regions.case]
    pool = Pool(ids, **fields, regions=regions, what="boxes", rounds=5, round=4)
    return choose(pool, strategy, budget, DRAW), regions


def write(folder: Path, name: str, image: nibabel.Nifti1Image) -> dict[str, str]:
    nibabel.save(image, folder / f"{name}.nii.gz")
    return {"id": name, "image": str(folder / f"{name}.nii.gz")}


def back(image: nibabel.Nifti1Image, corners: tuple) -> np.ndarray:
    """The voxels of a region of a stored volume, turned to right, front and top."""
    mask = nibabel.Nifti1Image(inside(image.shape, [corners]).astype(np.uint8), image.affine)
    return np.asarray(nibabel.as_closest_canonical(mask).dataobj).astype(bool)


@pytest.mark.parametrize("order", SOME_ORDERS, ids=name_of)
def test_a_doubtful_slice_and_box_are_found_whatever_the_order_of_axes(order, tmp_path):
    slab = stored(volume((slice(None), slice(None), slice(9, 10))), order)
    cases = [write(tmp_path, "sure", stored(volume((slice(0, 1),) * 3), order)), write(tmp_path, "slab", slab)]
    (pick,), regions = chosen("entropy", Unit("slice"), cases)
    assert pick.id == "slab"
    expected = np.zeros(SHAPE, bool)
    expected[:, :, 9] = True
    np.testing.assert_array_equal(back(slab, regions.corners(pick.index)), expected)
    assert slab.shape[int(regions.axis[pick.index])] == SHAPE[2]

    place = (slice(4, 8), slice(8, 12), slice(2, 5))
    cube = stored(volume(place), order)
    (pick,), regions = chosen("entropy", Unit("box", (4, 4, 3)), [cases[0], write(tmp_path, "cube", cube)])
    expected[:] = False
    expected[place] = True
    np.testing.assert_array_equal(back(cube, regions.corners(pick.index)), expected)


def test_the_score_is_the_mean_entropy_on_the_grid_of_the_file(tmp_path):
    """Also where the network sees another grid: a slab of two slices, seen at half the distance."""
    case = write(tmp_path, "a", volume((slice(None), slice(None), slice(4, 6))))
    for steps in ((), (Orientedd(("image",), "RAS"), Spacingd(("image",), (1.0, 1.0, 1.5), mode="bilinear"))):
        _, regions, fields = scoring("entropy", Unit("slice"), *steps).fields([case])
        best = np.argsort(-fields["uncertainty"])[:2]
        assert {*regions.start[best, 2]} == {4, 5}
    sure = torch.special.entr(torch.tensor([4.0, -4.0]).softmax(0)).sum().item()
    plain = scoring("entropy", Unit("slice")).fields([case])[2]["uncertainty"]
    np.testing.assert_allclose(plain, [np.log(2) if 4 <= number < 6 else sure for number in range(12)], atol=1e-6)


def test_slices_lie_as_those_that_the_network_sees(tmp_path):
    case = write(tmp_path, "a", volume((slice(3, 4), slice(None), slice(None))))
    _, regions, _ = scoring("entropy", Unit("slice"), OrientedSlicesd(("image",), "RAS", 1)).fields([case])
    assert (regions.axis == 1).all()
    (_, found, _) = scoring("entropy", Unit("slice"), OrientedSlicesd(("image",), "SAR", 2)).fields([case])
    assert (found.axis == 0).all()


def test_foreground_and_classes_are_counted_in_each_region(tmp_path):
    array = np.full(SHAPE, -4, np.float32)
    array[2:5, 3:7, 6] = 4
    case = write(tmp_path, "a", nibabel.Nifti1Image(array, AFFINE))
    fields = scoring("predicted_foreground_random", Unit("slice")).fields([case])[2]
    assert fields["foreground"][:, 0].tolist() == [12 if number == 6 else 0 for number in range(12)]
    fields = scoring("clasp_pe", Unit("slice")).fields([case])[2]
    entropy = torch.special.entr(torch.tensor([4.0, -4.0]).softmax(0)).sum().item()
    p = torch.tensor([4.0, -4.0]).softmax(0)[0].item()
    inner = 12 / (16 * 14)
    np.testing.assert_allclose(fields["class_uncertainty"][6, 0], entropy, rtol=1e-4)
    np.testing.assert_allclose(
        fields["class_uncertainty"][6, 1], entropy * (inner * p + (1 - inner) * (1 - p)), rtol=1e-3
    )


def test_over_foreground_pools_where_something_is_predicted(tmp_path):
    array = np.full(SHAPE, -4, np.float32)
    array[2:5, 3:7, 6] = 0.25
    case = write(tmp_path, "a", nibabel.Nifti1Image(array, AFFINE))
    scores = scoring("entropy", Unit("slice"), pooling="over_foreground").fields([case])[2]["uncertainty"]
    inner = torch.special.entr(torch.tensor([0.25, -0.25]).softmax(0)).sum().item()
    assert scores[6] == pytest.approx(inner, rel=1e-4)
    assert (scores[:6] < 0.01).all()


def test_what_is_labeled_already_is_not_offered_nor_what_lies_beside_it(tmp_path):
    case = write(tmp_path, "a", volume((slice(0, 4),) * 3))
    label = np.full(SHAPE, 255, np.uint8)
    label[:, :, 5] = 1
    nibabel.save(nibabel.Nifti1Image(label, AFFINE), tmp_path / "label.nii.gz")
    case |= {"label": str(tmp_path / "label.nii.gz"), "ignore": "255"}
    assert partly_labeled([case, {**case, "ignore": ""}]) == [case]
    _, regions, _ = scoring("entropy", Unit("slice")).fields([case])
    assert regions.start[:, 2].tolist() == [0, 1, 2, 3, 7, 8, 9, 10, 11]
    _, regions, _ = scoring("entropy", Unit("slice", duplicates=True)).fields([case])
    assert 5 not in regions.start[:, 2]
    assert len(regions) == 11
    _, regions, _ = scoring("entropy", Unit("box", (8, 8, 3))).fields([case])
    assert not ((regions.start[:, 2] <= 5) & (regions.stop[:, 2] > 5)).any()
    label[:] = 0
    nibabel.save(nibabel.Nifti1Image(label, AFFINE), tmp_path / "label.nii.gz")
    with pytest.raises(UserError, match="E394 no slice can be chosen"):
        scoring("entropy", Unit("slice")).fields([case])


def climbing() -> np.ndarray:
    """Each slice as bright as its number."""
    return np.broadcast_to(np.arange(SHAPE[2], dtype=np.float32), SHAPE).copy()


@pytest.mark.parametrize("order", SOME_ORDERS, ids=name_of)
def test_features_are_those_of_the_place_whatever_the_order_of_axes(order, tmp_path):
    """A network in 2D sees each slice by itself; one in 3D has a cell for two of them."""
    case = write(tmp_path, "a", stored(nibabel.Nifti1Image(climbing(), AFFINE), order))
    sliced = OrientedSlicesd(("image",), "RAS", 2)
    _, regions, fields = comparing(Unit("slice"), sliced, wise=True).fields([case])
    np.testing.assert_allclose(fields["features"][:, 0], np.arange(12), atol=1e-5)
    _, regions, fields = comparing(Unit("slice")).fields([case])
    np.testing.assert_allclose(fields["features"][:, 0], [0.5 + 2 * (number // 2) for number in range(12)], atol=1e-5)
    array = climbing()
    array[10:, 8:] += 100
    case = write(tmp_path, "b", stored(nibabel.Nifti1Image(array, AFFINE), order))
    _, regions, fields = comparing(Unit("box", (6, 6, 4))).fields([case])
    (bright,) = np.flatnonzero(fields["features"][:, 0] == fields["features"].max())
    place = nibabel.Nifti1Image(array, AFFINE)
    np.testing.assert_array_equal(
        back(stored(place, order), regions.corners(bright)), inside(SHAPE, [((10, 8, 8), (16, 14, 12))])
    )
    assert fields["features"].max() == pytest.approx(109.5, rel=1e-5)


def test_features_follow_the_file_s_slices_through_resampling_and_cropping(tmp_path):
    """Seen at half the distance, each slice of the file fills a cell; of what is cropped away the nearest."""
    case = write(tmp_path, "a", nibabel.Nifti1Image(climbing(), AFFINE))
    _, _, fields = comparing(Unit("slice"), Orientedd(("image",)), Spacedd(("image",), (1.0, 1.0, 1.5))).fields([case])
    np.testing.assert_allclose(fields["features"][:, 0], np.arange(12), atol=0.2)
    crop = SpatialCropd(("image",), roi_start=(0, 0, 4), roi_end=(16, 14, 10))
    _, _, fields = comparing(Unit("slice"), Orientedd(("image",)), crop).fields([case])
    # six slices lie within a window of eight, a voxel of zeros before them: cells are of 0 + 4, 5 + 6, 7 + 8, 9 + 0
    seen = [2.0, 5.5, 5.5, 7.5, 7.5, 4.5]
    np.testing.assert_allclose(fields["features"][:, 0], [2.0] * 4 + seen + [4.5] * 2, atol=1e-5)


def test_what_is_labeled_has_features_to_compare_with(tmp_path):
    """All slices of a case that is labeled, the labeled one of another; of boxes those that do not overlap."""
    free = write(tmp_path, "free", nibabel.Nifti1Image(climbing() + 50, AFFINE))
    whole, part = (write(tmp_path, name, nibabel.Nifti1Image(climbing(), AFFINE)) for name in ("whole", "part"))
    labels = np.zeros(SHAPE, np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), tmp_path / "whole_label.nii.gz")
    labels[:] = 255
    labels[:, :, 7] = 1
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), tmp_path / "part_label.nii.gz")
    whole |= {"label": str(tmp_path / "whole_label.nii.gz")}
    part |= {"label": str(tmp_path / "part_label.nii.gz"), "ignore": "255"}
    sliced = OrientedSlicesd(("image",), "RAS", 2)
    kept, regions, fields = comparing(Unit("slice"), sliced, wise=True).fields([free, part], [whole, part])
    assert [case["id"] for case in kept] == ["free", "part"]
    np.testing.assert_allclose(np.sort(fields["labeled"][:, 0]), np.sort([*range(12), 7]), atol=1e-5)
    assert len(fields["features"]) == len(regions) == 12 + 9
    pool = Pool([kept[number]["id"] for number in regions.case], **fields, regions=regions, what="slices")
    (pick,) = choose(pool, "kcenter", 1, DRAW)
    assert (pick.id, regions.corners(pick.index)[0][2]) == ("free", 11)
    _, _, fields = comparing(Unit("box", (8, 7, 6))).fields([free], [whole, part])
    assert len(fields["labeled"]) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("unit", "box", "told"),
    [("voxel", (), "unknown --unit 'voxel'"), ("box", (), "has no size"), ("slice", (4,), "--box does not go with")],
)
def test_what_is_no_unit_is_refused(unit, box, told):
    with pytest.raises(UserError, match=f"E527 .*{told}"):
        check_unit(unit, box)
