"""The changes of Models Genesis: curves, shuffled boxes and painted ones against what is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mednoisy.perturb.hashed_noise import hashed_uniforms
from mednoisy.perturb.models_genesis import (
    InPainting,
    LocalShuffling,
    NonLinearIntensity,
    OutPainting,
    restorable,
    unit_range,
)


def ramp(*shape: int) -> torch.Tensor:
    """An image whose every voxel has a value of its own, from 0 to 1."""
    return torch.linspace(0, 1, int(np.prod(shape))).reshape(1, 1, *shape)


@pytest.mark.parametrize(
    ("points", "falls", "at", "wanted"),
    [
        ((1 / 3, 2 / 3, 1 / 3, 2 / 3), 0, 0.3, 0.3),  # the diagonal
        ((1 / 3, 2 / 3, 1 / 3, 2 / 3), 1, 0.3, 0.7),
        ((0, 0, 1, 1), 0, 0.125, 0.875),  # x = t^3, y = 1 - (1 - t)^3 at t = 1/2
        ((0, 0, 1, 1), 1, 0.125, 0.125),
        ((1, 1, 0, 0), 0, 0.875, 0.125),  # x = 1 - (1 - t)^3, y = t^3
    ],
)
def test_curves_pass_where_beziers_formula_says(points, falls, at, wanted):
    changed = NonLinearIntensity().apply(torch.tensor([[[at]]]), np.array([[*points, falls]]))
    assert changed.item() == pytest.approx(wanted, abs=1e-3)  # of a table of 1,024 steps


@pytest.mark.parametrize("seed", range(5))
def test_drawn_curves_keep_the_order_of_values_or_turn_it_round(seed):
    change = NonLinearIntensity()
    numbers = change.draw(np.random.default_rng(seed), (1, 50))
    differences = change.apply(ramp(50), numbers[None]).flatten().diff()
    assert (differences <= 1e-6).all() if numbers[-1] else (differences >= -1e-6).all()


def test_one_box_is_shuffled_within_itself_and_channels_move_together():
    change = LocalShuffling(boxes=1, side=0.5)
    image = torch.cat([ramp(8, 8), 10 + ramp(8, 8)], dim=1)
    for seed in range(20):
        changed = change.apply(image, np.array([[seed]]))
        moved = (changed != image)[0, 0].nonzero()
        assert torch.equal(changed.flatten().sort().values, image.flatten().sort().values)
        torch.testing.assert_close(changed[:, 1], changed[:, 0] + 10)
        if len(moved):
            assert (moved.amax(0) - moved.amin(0) < 4).all()  # half of 8


def test_shuffling_moves_no_value_further_than_a_box_is_long():
    """Boxes overlap, but each reads the image as it was."""
    image = torch.arange(40.0).expand(1, 1, 40)
    for seed in range(5):
        changed = LocalShuffling(boxes=500, side=0.1).apply(image, np.array([[seed]]))
        assert (changed - image).abs().max() <= 3
        assert (changed != image).float().mean() > 0.3


def test_shuffling_of_one_voxel_boxes_is_none():
    image = ramp(9, 9, 9)  # a tenth of 9 is less than a voxel
    assert torch.equal(LocalShuffling().apply(image, np.array([[3]])), image)


def test_painting_writes_the_noise_of_its_seed_in_its_boxes_alone():
    image, numbers = ramp(6, 6), np.array([[7, 1, 2, 0, 0, 3, 5, 0, 0]])  # one box, and one that is empty
    noise = hashed_uniforms(np.array([7]), (1, 6, 6), image.device)
    box = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    box[..., 1:3, 2:5] = True
    assert torch.equal(InPainting(boxes=2).apply(image, numbers), torch.where(box, noise, image))
    assert torch.equal(OutPainting(windows=2).apply(image, numbers), torch.where(box, image, noise))


@pytest.mark.parametrize("shape", [(64, 48), (64, 64, 32), (6, 5, 4)])
@pytest.mark.parametrize(("change", "low", "high"), [(InPainting(), 1 / 6, 1 / 3), (OutPainting(), 3 / 7, 4 / 7)])
def test_drawn_boxes_lie_inside_and_have_the_published_sides(change, low, high, shape):
    counts = set()
    for seed in range(60):
        boxes = change.draw(np.random.default_rng(seed), (1, *shape))[1:].reshape(2, 5, len(shape))
        lengths = boxes[1] - boxes[0]
        there = (lengths > 0).all(axis=1)
        counts.add(int(there.sum()))
        assert there[: there.sum()].all()  # those that are empty come last
        assert (boxes[0] >= 0).all()
        assert (boxes[1] <= shape).all()
        least, most = (np.maximum((share * np.array(shape)).astype(int), 1) for share in (low, high))
        assert (lengths[there] >= least).all()
        assert (lengths[there] <= most).all()
        if min(shape) > 20:
            assert (boxes[0][there] >= 3).all()
            assert (boxes[1][there] <= np.array(shape) - 3).all()
    assert 5 in counts
    assert min(counts) >= 1


def test_a_flat_image_has_a_span_of_zero_and_comes_back():
    image = torch.full((1, 1, 4), -2.0)
    unit, lowest, span = unit_range(image)
    assert unit.abs().max() == 0
    assert torch.equal(unit * span + lowest, image)


def test_the_whole_chain_stays_between_zero_and_one_and_equals_itself():
    chain = restorable(1, 1, 1)
    drawn = [chain.draw(np.random.default_rng(seed), (2, 20, 24)) for seed in range(4)]
    image = torch.rand(4, 2, 20, 24, generator=torch.Generator().manual_seed(0))
    changed = chain.apply(image, drawn)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed, chain.apply(image, drawn))
    assert (changed != image).float().mean(dim=(1, 2, 3)).min() > 0.2


def test_paintings_are_inside_as_often_as_published():
    """20 in 100 of the 90 in 100 that paint."""
    drawn = [restorable().draw(np.random.default_rng(seed), (1, 20, 20)) for seed in range(3000)]
    inside, outside = (np.mean([numbers[place] is not None for numbers in drawn]) for place in (2, 3))
    assert inside == pytest.approx(0.18, abs=0.03)
    assert outside == pytest.approx(0.72, abs=0.03)
