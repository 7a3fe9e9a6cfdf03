"""CutMix boxes keep their ranges, and inside and outside are exactly swapped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError
from mednoisy.perturb.cutmix import CutMixRule, cut_mix, inside

ALWAYS = CutMixRule(probability=1.0)


def sides_of(boxes) -> np.ndarray:
    """(boxes, axes), in voxels."""
    return np.array([[axis.stop - axis.start for axis in box] for box in boxes], dtype=float)


@pytest.mark.parametrize("shape", [(256, 256), (300, 200), (128, 96, 80), (400,)])
def test_shares_and_ratios_keep_their_ranges(shape):
    """Share of the image in .02 to .4 and ratio of two sides in .3 to 1/.3, but for what whole voxels cut off."""
    boxes = ALWAYS(400, shape, Draw(0, "boxes", 0).generator())
    for box in boxes:
        assert all(0 <= axis.start < axis.stop <= size for axis, size in zip(box, shape, strict=True))
    low, high = sides_of(boxes) / shape, (sides_of(boxes) + 1) / shape
    assert (low.prod(axis=1) <= 0.4).all()
    assert (high.prod(axis=1) >= 0.02).all()
    assert (low[:, :-1] / high[:, -1:] <= 1 / 0.3).all()
    assert (high[:, :-1] / low[:, -1:] >= 0.3).all()
    volumes = low.prod(axis=1)
    assert volumes.min() < 0.04 < 0.36 < volumes.max()
    assert abs(volumes.mean() - 0.21) < 0.03


def test_sides_from_share_and_ratio():
    """A fixed share .25 and ratio 1 give half of each axis, anywhere it fits, both ends included."""
    rule = CutMixRule(probability=1.0, shares=(0.25, 0.25), ratios=(1.0, 1.0))
    boxes = rule(300, (8, 6), Draw(0, "boxes", 1).generator())
    assert (sides_of(boxes) == [4, 3]).all()
    assert {box[0].start for box in boxes} == set(range(5))
    assert {box[1].start for box in boxes} == set(range(4))
    (box,) = CutMixRule(1.0, (0.1, 0.1), (1.0, 2.0))(1, (1000, 1000), Draw(0, "boxes", 2).generator())
    rows, columns = sides_of([box])[0]
    assert (rows + 1) / columns >= 1
    assert rows / (columns + 1) <= 2
    assert rows * columns == pytest.approx(100_000, rel=0.01)


def test_a_share_of_the_images_gets_a_box():
    """Half of them by default, all or none at 1 and 0; the rest get an empty box."""
    for probability, expected in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        boxes = CutMixRule(probability)(400, (16, 16), Draw(0, "boxes", 3).generator())
        assert inside(boxes, (16, 16)).flatten(1).any(dim=1).float().mean() == pytest.approx(expected, abs=0.06)


def test_equal_draws_are_equal():
    first, again, other = (ALWAYS(3, (32, 32, 16), Draw(0, "boxes", n).generator()) for n in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("spatial", [(6, 5), (6, 5, 4)])
def test_inside_is_the_partner_and_outside_the_image(spatial):
    """Images, labels and masks alike; image i has the box of image i - 1, the first that of the last."""
    boxes = ALWAYS(3, spatial, Draw(0, "boxes", 4).generator())
    where = inside(boxes, spatial)
    for number, box in enumerate(boxes):
        assert where[number].sum() == where[number][box].numel() > 0
        assert where[number][box].all()
    images = torch.randn(3, 2, *spatial)
    labels = torch.arange(3).reshape(3, *(1 for _ in spatial)).expand(3, *spatial)
    mixed, of_labels, of_masks = cut_mix(images, where), cut_mix(labels, where), cut_mix(labels == 0, where)
    for number in range(3):
        partner, region = (number - 1) % 3, where[number]
        assert torch.equal(mixed[number][:, region], images[partner][:, region])
        assert torch.equal(mixed[number][:, ~region], images[number][:, ~region])
        assert torch.equal(of_labels[number], torch.where(region, partner, number))
    assert torch.equal(of_masks, of_labels == 0)


def test_one_image_has_no_partner():
    with pytest.raises(UserError, match="E122 a step has 1 unlabeled crop; CutMix takes a box from another one"):
        cut_mix(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probability": 1.5}, r"probability is 1.5; it must lie in 0..1"),
        ({"shares": (0.4, 0.02)}, r"shares are \(0.4, 0.02\); they must rise within \(0, 0.9\]"),
        ({"shares": (0.5, 1.0)}, r"they must rise within \(0, 0.9\]"),
        ({"ratios": (2.0, 3.0)}, r"ratios are \(2.0, 3.0\); they must be positive, one up to 1 and one from 1 on"),
    ],
)
def test_rules_that_cannot_be_kept(arguments, message):
    with pytest.raises(ValueError, match=message):
        CutMixRule(**arguments)
