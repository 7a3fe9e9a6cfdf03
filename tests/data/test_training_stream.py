"""The same batches on any worker, rank or restart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import get_track_meta
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandGaussianNoised

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.training_stream import ListedPairs, StreamLoader, TrainingStream, crop_starts, padded, shuffled
from mednoisy.errors import UserError

SHAPE, PATCH = (11, 10, 9), (8, 8, 6)


class Cases(list):
    """Cached cases in memory: voxel values are unique over all cases, labels are their parity."""

    nbytes = 0


def cases(count: int, labels: bool, shape: tuple[int, ...] = SHAPE, first: int = 0) -> Cases:
    held = Cases()
    for number in range(first, first + count):
        image = torch.arange(float(np.prod(shape))).reshape(1, *shape) + 10_000 * number
        item: dict[str, Any] = {"id": f"p{number}", "image": image}
        held.append(item | ({"label": (image[0] % 2).to(torch.uint8)} if labels else {}))
    return held


def stream(**options: Any) -> TrainingStream:
    return TrainingStream(cases(5, True), cases(7, False, first=50), PATCH, seed=3, **options)


def strong() -> dict[str, Compose]:
    """Transforms that draw, resample and take means, as the strong recipe does."""
    return {
        "spatial": Compose(
            [
                RandFlipd(["image", "label"], prob=0.5, spatial_axis=0, allow_missing_keys=True),
                RandAffined(
                    ["image", "label"],
                    prob=0.8,
                    rotate_range=0.3,
                    mode=["bilinear", "nearest"],
                    allow_missing_keys=True,
                ),
            ]
        ),
        "intensity": Compose(
            [RandGaussianNoised("image", prob=0.8), RandAdjustContrastd("image", prob=0.9, retain_stats=True)]
        ),
    }


def same(left: Batch, right: Batch) -> bool:
    names = ("labeled", "labels", "unlabeled", "unlabeled_weak")
    tensors = all(torch.equal(getattr(left, name), getattr(right, name)) for name in names)
    return tensors and left.labeled_ids == right.labeled_ids and left.unlabeled_ids == right.unlabeled_ids


@pytest.mark.parametrize("transforms", [{}, "strong"])
def test_workers_and_restarts_change_nothing(transforms):
    held = stream(**(strong() if transforms else {}))
    wanted = [held.batch("training", step, 2, 3) for step in range(6)]
    assert not same(wanted[0], wanted[1])
    for workers, first in ((0, 0), (2, 0), (0, 4), (2, 3)):
        found = list(StreamLoader(held, workers).steps("training", range(first, 6), 2, 3))
        assert len(found) == 6 - first
        assert all(same(left, right) for left, right in zip(found, wanted[first:], strict=True))


def test_threads_change_nothing():
    """A mean over many voxels differs in its last bit with the number of threads; a batch does not."""
    large = Cases([{"id": "p", "image": torch.randn(1, 64, 64, 48), "label": torch.zeros(64, 64, 48)}])
    held = TrainingStream(large, None, (64, 64, 48), intensity=strong()["intensity"])
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(held.batch("training", 0, 1, 0))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert same(*found)


def test_two_ranks_share_the_draws_of_one():
    held = stream(**strong())
    for step in range(4):
        whole = held.batch("training", step, 4, 4)
        parts = [held.batch("training", step, 2, 2, rank, 2) for rank in range(2)]
        for rank, part in enumerate(parts):
            assert torch.equal(part.labeled, whole.labeled[rank::2])
            assert torch.equal(part.labels, whole.labels[rank::2])
            assert torch.equal(part.unlabeled, whole.unlabeled[rank::2])
            assert part.unlabeled_ids == whole.unlabeled_ids[rank::2]


def test_stages_seeds_and_sections_draw_apart():
    held = stream()
    assert not same(held.batch("one", 0, 2, 2), held.batch("two", 0, 2, 2))
    other = TrainingStream(held.labeled, held.unlabeled, PATCH, seed=4)
    assert not same(held.batch("one", 0, 2, 2), other.batch("one", 0, 2, 2))


def test_weak_and_strong_views_are_the_same_voxels():
    held = stream(spatial=strong()["spatial"], intensity=Changed(lambda image: -image))
    batch = held.batch("training", 1, 2, 3)
    assert torch.equal(batch.unlabeled, -batch.unlabeled_weak)
    plain = stream(spatial=strong()["spatial"]).batch("training", 1, 2, 3)
    assert plain.unlabeled_weak is plain.unlabeled
    assert torch.equal(plain.unlabeled, batch.unlabeled_weak)
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.unlabeled_weak, batch.unlabeled_weak)
    assert plain.to(torch.device("cpu")).unlabeled_weak is not batch.unlabeled_weak


class Changed:
    """A random transform without randomness, changing the image in place as some of MONAI's do."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def set_random_state(self, seed: int) -> None:
        pass

    def __call__(self, arrays: dict) -> dict:
        for key in arrays:
            arrays[key].copy_(self.change(arrays[key]))
        return arrays


def test_cached_cases_are_never_changed():
    held = TrainingStream(cases(2, True, PATCH), cases(2, False, PATCH), PATCH, spatial=Changed(torch.zeros_like))
    before = [item["image"].clone() for item in [*held.labeled, *held.unlabeled]]
    assert held.batch("training", 0, 2, 2).labeled.abs().sum() == 0
    assert all(torch.equal(i["image"], b) for i, b in zip([*held.labeled, *held.unlabeled], before, strict=True))


def test_labels_lie_on_their_image():
    batch = stream().batch("training", 2, 4, 0)
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


def test_transforms_get_and_give_plain_tensors():
    """Metadata are off while a batch is made, and on again behind it, even if a transform fails."""
    tracked = []
    stream(spatial=Changed(lambda image: tracked.append(get_track_meta()) or image)).batch("training", 0, 1, 0)
    assert not any(tracked)
    assert tracked
    assert get_track_meta()
    with pytest.raises(ZeroDivisionError):
        stream(spatial=Changed(lambda image: 1 / 0)).batch("training", 0, 1, 0)
    assert get_track_meta()
