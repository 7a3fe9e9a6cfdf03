"""The same batches on any worker, rank or restart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandFlipd

from mednoisy.data.batch import Augmentations, Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.crops import crop_starts, padded
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_stream import ListedPairs, TrainingStream, shuffled
from mednoisy.errors import UserError
from mednoisy.perturb import Affine, Flip, Gamma, GaussianNoise, Geometry, Intensity, QuarterTurns, ShiftIntensity

SHAPE, PATCH = (11, 10, 9), (8, 8, 6)


class Cases(list):
    """Cached cases in memory: voxel values are unique over all cases, labels are their parity."""

    nbytes, partly_labeled = 0, False


def cases(count: int, labels: bool, shape: tuple[int, ...] = SHAPE, first: int = 0) -> Cases:
    held = Cases()
    for number in range(first, first + count):
        image = torch.arange(float(np.prod(shape))).reshape(1, *shape) + 10_000 * number
        item: dict[str, Any] = {"id": f"p{number}", "image": image}
        held.append(item | ({"label": (image[0] % 2).to(torch.uint8)} if labels else {}))
    return held


def stream(**options: Any) -> TrainingStream:
    return TrainingStream(cases(5, True), cases(7, False, first=50), PATCH, seed=3, **options)


def strong() -> dict[str, Any]:
    """Changes that draw, resample and take means, as the strong recipe does."""
    return {
        "spatial": Geometry([Flip(axes=[0]), Affine(rotation=0.3, probability=0.8)]),
        "intensity": Intensity([GaussianNoise(probability=0.8), Gamma(probability=0.9)]),
    }


def drawn(batch: Batch) -> list[list[float] | None]:
    """The numbers of what is still to be done to a batch."""
    assert batch.drawn is not None
    crops = [*batch.drawn.spatial, *batch.drawn.intensity]
    return [None if numbers is None else numbers.tolist() for crop in crops for numbers in crop]


def same(left: Batch, right: Batch) -> bool:
    names = ("labeled", "labels", "unlabeled", "unlabeled_weak")
    tensors = all(torch.equal(getattr(left, name), getattr(right, name)) for name in names)
    ids = left.labeled_ids == right.labeled_ids and left.unlabeled_ids == right.unlabeled_ids
    return tensors and ids and drawn(left) == drawn(right)


@pytest.mark.parametrize("transforms", [{}, "strong"])
def test_workers_and_restarts_change_nothing(transforms):
    held = stream(**(strong() if transforms else {}))
    wanted = [held.batch("training", step, 2, 3) for step in range(6)]
    assert not same(wanted[0], wanted[1])
    for workers, first in ((0, 0), (2, 0), (0, 4), (2, 3)):
        found = list(StreamLoader(held, workers).steps("training", range(first, 6), 2, 3))
        assert len(found) == 6 - first
        assert all(same(left, right) for left, right in zip(found, wanted[first:], strict=True))


def test_two_ranks_share_the_draws_of_one():
    held = stream(**strong())
    for step in range(4):
        whole = held.batch("training", step, 4, 4)
        parts = [held.batch("training", step, 2, 2, rank, 2) for rank in range(2)]
        made = held.augmented(whole)
        for rank, part in enumerate(parts):
            assert part.unlabeled_ids == whole.unlabeled_ids[rank::2]
            assert drawn(part) == drawn_of_rank(whole, rank)
            made_there = held.augmented(part)
            for name in ("labeled", "unlabeled", "unlabeled_weak"):
                torch.testing.assert_close(getattr(made_there, name), getattr(made, name)[rank::2], rtol=1e-6, atol=0)
            assert torch.equal(made_there.labels, made.labels[rank::2])


def drawn_of_rank(whole: Batch, rank: int) -> list[list[float] | None]:
    """Of a batch of four labeled and four unlabeled crops, the numbers of every second of either kind."""
    assert whole.drawn is not None
    own = Augmentations(whole.drawn.spatial[rank::2], whole.drawn.intensity[rank::2])
    return drawn(replace(whole, drawn=own))


def test_stages_seeds_and_sections_draw_apart():
    held = stream()
    assert not same(held.batch("one", 0, 2, 2), held.batch("two", 0, 2, 2))
    other = TrainingStream(held.labeled, held.unlabeled, PATCH, seed=4)
    assert not same(held.batch("one", 0, 2, 2), other.batch("one", 0, 2, 2))


def test_weak_and_strong_views_are_the_same_voxels():
    brighter = Intensity([ShiftIntensity(probability=1.0)])
    held = stream(spatial=strong()["spatial"], intensity=brighter)
    crops = held.batch("training", 1, 2, 3)
    batch = held.augmented(crops)
    shifts = [numbers[0][0] for numbers in crops.drawn.intensity]
    for crop, weak, shift in zip(batch.unlabeled, batch.unlabeled_weak, shifts[2:], strict=True):
        assert abs(shift) > 0.01
        assert torch.equal(crop, weak + shift)
    held.intensity = None
    plain = held.augmented(held.batch("training", 1, 2, 3))
    assert plain.unlabeled_weak is plain.unlabeled
    assert torch.equal(plain.unlabeled, batch.unlabeled_weak)
    for shared in (plain, crops):
        moved = shared.to(torch.device("cpu"), torch.channels_last_3d)
        assert moved.unlabeled_weak is moved.unlabeled
    assert torch.equal(batch.to(torch.device("cpu")).unlabeled_weak, batch.unlabeled_weak)


def test_a_batch_is_changed_once():
    held = stream(**strong())
    once = held.augmented(held.batch("training", 0, 2, 2))
    assert once.drawn is None
    assert held.augmented(once) is once


def test_cached_cases_are_never_changed():
    zeros = Intensity([ShiftIntensity(change=5.0, probability=1.0)])
    held = TrainingStream(
        cases(2, True, PATCH), cases(2, False, PATCH), PATCH, Geometry([Flip(probability=1.0)]), zeros
    )
    before = [item["image"].clone() for item in [*held.labeled, *held.unlabeled]]
    crops = held.batch("training", 0, 2, 2)
    images = crops.labeled.clone(), crops.unlabeled.clone()
    assert not torch.equal(held.augmented(crops).labeled, images[0])
    assert torch.equal(crops.labeled, images[0])
    assert torch.equal(crops.unlabeled, images[1])
    assert all(torch.equal(i["image"], b) for i, b in zip([*held.labeled, *held.unlabeled], before, strict=True))


def test_labels_lie_on_their_image():
    held = stream(spatial=Geometry([Flip(probability=1.0)]))
    batch = held.augmented(held.batch("training", 2, 4, 0))
    assert torch.equal(batch.labels, (batch.labeled[:, 0] % 2).long())
    assert batch.labels.dtype == torch.int64
    assert batch.unlabeled.shape == (0, 1, *PATCH)


def test_every_case_once_an_epoch_in_a_new_order():
    orders = [[shuffled(Draw(0, "s", number), 5, 2) for number in range(epoch, epoch + 5)] for epoch in range(0, 40, 5)]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def listed(cases: int, epoch: int, per_step: int, steps: int) -> list[list[int]]:
    order = ListedPairs(epoch)
    return [
        [order(Draw(0, "s", step * per_step + slot), cases, per_step) for slot in range(per_step)]
        for step in range(steps)
    ]


def test_listed_pairs_are_those_of_sdcl():
    """The list ten times, read forwards for one half of a batch and backwards for the other, until 80 are read."""
    labeled, unlabeled = listed(8, 80, 8, 40), listed(72, 80, 8, 40)
    forwards, backwards = list(range(72)) * 10, list(range(72))[::-1] * 10
    for step in range(40):
        at = step % 20 * 4
        assert unlabeled[step] == forwards[at : at + 4] + backwards[at : at + 4]
        assert [i + j for i, j in zip(labeled[step][:4], labeled[step][4:], strict=True)] == [7] * 4
    counts = Counter(index for step in unlabeled[:20] for index in step[:4])
    assert counts == {index: 1 + (index < 8) for index in range(72)}  # each of 72 once, 8 of them twice
    partners = {(a, b) for step in range(40) for a, b in zip(unlabeled[step][:4], labeled[step][4:], strict=True)}
    assert len(partners) == 72  # an unlabeled image always meets the same labeled one


@pytest.mark.parametrize(("exclude", "highest"), [(False, 3), (True, 2)])
def test_crops_reach_every_position_but_the_published_last_one(exclude, highest):
    starts = {crop_starts((11,), (8,), Draw(0, "s", n).generator("crop"), exclude)[0] for n in range(200)}
    assert starts == set(range(highest + 1))


def test_a_patch_as_large_as_the_volume_has_one_position():
    assert crop_starts((8, 8), (8, 8), Draw(0, "s", 0).generator(), True) == [0, 0]


def test_short_axes_are_padded_with_zeros_half_in_front():
    image = torch.ones(1, 5, 8, 9)
    full = padded(image, (8, 8, 6))
    assert full.shape == (1, 8, 8, 9)
    assert full[0, 1:6].min() == 1
    assert full[0, :1].abs().sum() + full[0, 6:].abs().sum() == 0
    assert padded(full, (8, 8, 6)) is full


@pytest.mark.parametrize(
    ("shape", "margin", "wanted"),
    [
        ((9, 9, 7), 3, (9, 9, 7)),  # all axes longer than the patch: untouched
        ((8, 9, 7), 3, (14, 13, 11)),  # one is not: (8-8)//2+3, (8-9)//2+3, (6-7)//2+3 on both sides
        ((8, 9, 7), 1, (10, 9, 7)),  # SDCL's margin
        ((4, 20, 7), 3, (14, 20, 11)),
    ],
)
def test_published_padding(shape, margin, wanted):
    assert padded(torch.ones(1, *shape), PATCH, margin).shape[1:] == wanted


def test_a_volume_smaller_than_the_patch_gives_whole_crops():
    small = TrainingStream(cases(2, True, (5, 10, 3)), None, PATCH, published_margin=3)
    batch = small.batch("training", 0, 2, 0)
    assert batch.labeled.shape == (2, 1, *PATCH)
    assert batch.labels.shape == (2, *PATCH)


def test_fewer_cases_than_a_step_draws_are_refused():
    stream().check(5, 7)
    with pytest.raises(UserError, match=r"E220 a step draws 6 labeled crops .* section 'labeled' has 5\. Add cases"):
        stream().check(6, 0)
    with pytest.raises(UserError, match=r"E220 .*section 'unlabeled' has 0"):
        TrainingStream(cases(5, True), None, PATCH).check(2, 2)


def test_global_generators_are_left_alone():
    held = stream(**strong())
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    wanted = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    list(StreamLoader(held).steps("training", range(2), 2, 2))
    assert (torch.rand(1), np.random.rand()) == wanted  # noqa: NPY002


def test_transforms_that_draw_while_they_change_are_refused():
    with pytest.raises(UserError, match=r"E229 train#intensity is of the class Compose, which does not draw"):
        stream(intensity=Compose([RandFlipd("image")]))
    with pytest.raises(
        UserError, match=r"E230 monai\.transforms\.\S+\.RandFlipd cannot stand among changes of geometry"
    ):
        stream(spatial=Geometry([RandFlipd("image")]))
    with pytest.raises(
        UserError, match=r"E230 mednoisy\.perturb\.intensity\.Gamma cannot stand among changes of geometry"
    ):
        stream(spatial=Geometry([[Gamma()]]))


def test_crops_that_cannot_be_turned_are_refused():
    stream(spatial=Geometry([QuarterTurns(axes=(0, 1))]))
    with pytest.raises(UserError, match=r"E231 crops are 8 and 6 voxels long on axes 1 and 2.*Make these sides"):
        stream(spatial=Geometry([QuarterTurns(axes=(1, 2))]))


def test_every_crop_of_a_partly_labeled_volume_shows_a_label_wherever_it_lies():
    """A box of 2x2x2 at a corner, and one inside; of other cases crops stay as they were."""
    whole = stream().batch("s", 0, 5, 0)
    partly = cases(5, True, shape=(30, 28, 26))
    seen = {"p0": (0, 0, 0), "p1": (13, 20, 7), "p2": (28, 26, 24)}
    for item in partly:
        if item["id"] in seen:
            box = tuple(slice(start, start + 2) for start in seen[item["id"]])
            label = torch.full_like(item["label"], IGNORED)
            label[box] = 1
            item["label"] = label
    partly.partly_labeled = True
    some = TrainingStream(partly, cases(7, False, first=50), PATCH, seed=3)
    places = set()
    for step in range(40):
        batch = some.batch("s", step, 5, 0)
        for name, label, image in zip(batch.labeled_ids, batch.labels, batch.labeled, strict=True):
            assert (label != IGNORED).any()
            places |= {float(image.min())} if name == "p1" else set()
    assert len(places) > 20  # crops are anywhere around the box
    again = some.batch("s", 7, 5, 0)
    assert same(again, some.batch("s", 7, 5, 0))
    plain = cases(5, True)
    plain.partly_labeled = True
    assert same(TrainingStream(plain, cases(7, False, first=50), PATCH, seed=3).batch("s", 0, 5, 0), whole)


def test_a_volume_that_nobody_looked_at_beside_others_is_drawn_anywhere():
    partly = cases(5, True)
    partly[0]["label"] = torch.full_like(partly[0]["label"], IGNORED)
    partly.partly_labeled = True
    labels = TrainingStream(partly, None, PATCH, seed=3).batch("s", 0, 5, 0).labels
    assert sum(bool((label == IGNORED).all()) for label in labels) == 1


def test_one_case_of_each_section_is_enough_where_crops_may_repeat():
    """Of labeled cases for a fold; of both for the first studies of an annotation server."""
    of_both = TrainingStream(cases(1, True), cases(1, False), PATCH, repeated="all")
    of_both.check(4, 4)
    batch = of_both.batch("stage", 0, 4, 4)
    assert (batch.labeled.shape[0], len(set(batch.labeled_ids)), len(set(batch.unlabeled_ids))) == (4, 1, 1)
    with pytest.raises(UserError, match=r"E220 .*'unlabeled' has 1"):
        TrainingStream(cases(1, True), cases(1, False), PATCH, repeated=True).check(4, 4)
    with pytest.raises(UserError, match=r"E220 .*'unlabeled' has 0"):
        TrainingStream(cases(1, True), None, PATCH, repeated="all").check(4, 4)
