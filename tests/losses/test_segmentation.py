"""Dice, cross-entropy and the mixed loss against the authors' figures and values worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from mednoisy.losses.segmentation import cross_entropy, dice_loss, mixed_loss
from tests.losses.figures import Figures


@pytest.fixture(scope="module")
def volumes(golden) -> Figures:
    return Figures(golden("losses_3d_two_class.npz"))


@pytest.fixture(scope="module")
def slices(golden) -> Figures:
    return Figures(golden("losses_2d_four_class.npz"))


def half_sum(terms):
    return (terms[0] + terms[1]) / 2


LOSSES_3D = {
    "dice_per_sample_per_class": lambda f, x: dice_loss(x, f.image),
    "dice_per_sample_per_class_masked": lambda f, x: dice_loss(x, f.image, where=f.mask),
    "cross_entropy_mean": lambda f, x: cross_entropy(x, f.image),
    "pretrain_half_ce_plus_dice_on_mixed_label": lambda f, x: half_sum(
        (dice_loss(x, f.mixed), cross_entropy(x, f.mixed))
    ),
    "sup_loss_bcp": lambda f, x: half_sum((dice_loss(x, f.image), cross_entropy(x, f.image))),
    "mix_loss_image_weight1_patch_weight05": lambda f, x: half_sum(mixed_loss(x, f.mixed, f.mask, 1, 0.5)),
    "mix_loss_image_weight05_patch_weight1": lambda f, x: half_sum(mixed_loss(x, f.mixed, f.mask, 0.5, 1)),
    "mix_loss_mask_all_ones": lambda f, x: half_sum(mixed_loss(x, f.image, torch.ones_like(f.mask), 1, 0.5)),
    "uamt_dice_squared_denominator_foreground": lambda f, x: dice_loss(x, f.image, "foreground_squared"),
    "uamt_supervised_half_ce_plus_dice": lambda f, x: half_sum(
        (dice_loss(x, f.image, "foreground_squared"), cross_entropy(x, f.image))
    ),
}
LOSSES_2D = {
    "mix_loss_{}_image1_patch05": lambda f, x: mixed_loss(x, f.mixed, f.mask, 1, 0.5, "batch_squared"),
    "mix_loss_{}_image05_patch1": lambda f, x: mixed_loss(x, f.mixed, f.mask, 0.5, 1, "batch_squared"),
    "mix_loss_{}_pretrain_both_weight1": lambda f, x: mixed_loss(x, f.mixed, f.mask, 1, 1, "batch_squared"),
    "mix_loss_{}_mask_all_ones": lambda f, x: mixed_loss(x, f.image, torch.ones_like(f.mask), 1, 0.5, "batch_squared"),
}


@pytest.mark.parametrize("name", LOSSES_3D)
def test_two_classes_in_3d(volumes, name):
    """Value and gradient of each published loss."""
    volumes.check(name, lambda logits: LOSSES_3D[name](volumes, logits))


@pytest.mark.parametrize("name", LOSSES_2D)
@pytest.mark.parametrize("term", ["dice", "ce"])
def test_mixed_loss_of_four_classes_in_2d(slices, name, term):
    """Dice and cross-entropy of a mixture are returned apart."""
    slices.check(name.format(term), lambda logits: LOSSES_2D[name](slices, logits)[term == "ce"])


@pytest.mark.parametrize(
    ("name", "labels", "masked"),
    [
        ("dice_batch_squared_per_class_mean", "label_image", False),
        ("dice_batch_squared_per_class_mean_masked", "label_image", True),
        ("dice_batch_squared_class3_absent_from_batch", "label_image_without_class3", False),
    ],
)
def test_dice_over_the_batch(slices, name, labels, masked):
    """The 2D Dice, whose constant is 1e-10 in the reference also over whole images."""
    where = slices.mask if masked else torch.ones_like(slices.mask)
    slices.check(name, lambda logits: dice_loss(logits, slices.labels(labels), "batch_squared", where))


@pytest.mark.parametrize(
    ("logits", "outside_pseudo", "real_outside"),
    [((2, -1, 0.5, -3), 1.593977, 1.305137), ((-1, -2, 1, 2), 1.026297, 1.472234)],
)
def test_four_voxels(logits, outside_pseudo, real_outside):
    """The small example of both papers' losses, computed from their formulas."""
    x = torch.stack([torch.zeros(4), torch.tensor(logits, dtype=torch.float64)])[None]
    outside = torch.tensor([True, True, False, False])
    labels = torch.where(outside, torch.tensor([1, 1, 0, 0]), torch.tensor([0, 1, 1, 1]))[None]
    assert half_sum(mixed_loss(x, labels, outside, 0.5, 1)).item() == pytest.approx(outside_pseudo, abs=2e-6)
    assert half_sum(mixed_loss(x, labels, outside, 1, 0.5)).item() == pytest.approx(real_outside, abs=2e-6)


def test_undecided_prediction():
    """Equal logits of K classes, each with its share 1/K of voxels, cost ln K and have the Dice 1/K."""
    logits, labels = torch.zeros(1, 4, 2, 2, 2), torch.arange(8).reshape(1, 2, 2, 2) % 4
    assert cross_entropy(logits, labels).item() == pytest.approx(math.log(4), abs=1e-6)
    assert dice_loss(logits, labels).item() == pytest.approx(1 - 0.25, abs=1e-5)


@pytest.mark.parametrize("dice", ["per_sample", "batch_squared", "batch_squared_present", "foreground_squared"])
def test_perfect_prediction_costs_nothing(dice):
    """Every kind of Dice vanishes where all classes occur and are met."""
    labels = torch.tensor([[[0, 1], [2, 1]], [[2, 0], [0, 1]]])
    logits = 50 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert dice_loss(logits, labels, dice).item() == pytest.approx(0, abs=1e-5)


def test_absent_classes_can_be_left_out():
    """A class absent from the region costs nearly 1 in the published form and nothing in the other."""
    labels = torch.tensor([[[0, 1], [1, 0]]])
    logits = 20 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    logits[:, 2] = 12.0
    where = torch.ones(2, 2, dtype=torch.bool)
    assert dice_loss(logits, labels, "batch_squared", where).item() == pytest.approx(1 / 3, abs=1e-3)
    assert dice_loss(logits, labels, "batch_squared_present", where).item() == pytest.approx(0, abs=1e-3)


def test_a_region_is_all_that_counts():
    """What lies outside the region changes neither loss, in any number of dimensions."""
    generator = torch.Generator().manual_seed(0)
    for spatial in ((5,), (4, 5), (3, 4, 5)):
        logits, other = torch.randn(2, 2, 3, *spatial, generator=generator)
        labels = torch.randint(0, 3, (2, *spatial), generator=generator)
        where = torch.zeros(spatial, dtype=torch.bool)
        where[..., 1:4] = True
        changed = torch.where(where, logits, other)
        for loss in (dice_loss(logits, labels, where=where), cross_entropy(logits, labels, where)):
            assert torch.isfinite(loss)
        assert torch.equal(dice_loss(logits, labels, where=where), dice_loss(changed, labels, where=where))
        assert torch.equal(cross_entropy(logits, labels, where), cross_entropy(changed, labels, where))


def test_low_precision_logits_are_scored_in_float32():
    """Under autocast the loss is that of the same logits in float32."""
    logits = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)).bfloat16()
    labels = torch.randint(0, 3, (1, 6, 6), generator=torch.Generator().manual_seed(2))
    mask = torch.ones(6, 6, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        terms = mixed_loss(logits, labels, mask, 1, 0.5)
    expected = mixed_loss(logits.float(), labels, mask, 1, 0.5)
    for term, value in zip(terms, expected, strict=True):
        assert term.dtype == torch.float32
        assert torch.equal(term, value)


def test_unknown_kind_of_dice():
    """A misspelt kind names those that exist."""
    with pytest.raises(ValueError, match="unknown kind of Dice 'linear'; known: per_sample, batch_squared"):
        dice_loss(torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.long), "linear")


def test_labels_on_another_grid():
    """Labels smaller than the image are refused, not scattered into a corner."""
    with pytest.raises(ValueError, match=r"labels are \(1, 2\); logits \(1, 2, 3\) need one code per voxel"):
        dice_loss(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long))


def test_values_in_words_and_arrays_agree(golden, volumes):
    """The list of values and the arrays are the same figures."""
    values = json.loads(golden("losses_values.json").read_text())["3d_two_class"]
    for name, value in values.items():
        np.testing.assert_allclose(volumes.arrays[f"value__{name}"], value, rtol=1e-12)
