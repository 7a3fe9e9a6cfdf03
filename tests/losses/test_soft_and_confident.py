"""Losses against predictions as targets, and where labels are confident."""

from __future__ import annotations

import math

import pytest
import torch

from mednoisy.losses.consistency import confident_loss, squared_gap
from mednoisy.losses.segmentation import DiceKind, dice_loss, soft_dice_loss
from tests.losses.figures import Figures

KINDS = DiceKind.__args__


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def certain(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).double()


@pytest.mark.parametrize("dice", KINDS)
def test_a_certain_prediction_is_a_label(dice):
    """Probabilities of 0 and 1 cost what the classes cost, and are the only thing that is not learned."""
    logits, labels = noise(2, 3, 5, 4), torch.arange(40).reshape(2, 5, 4) % 3
    target = certain(labels, 3).requires_grad_()
    soft = soft_dice_loss(logits.requires_grad_(), target, dice)
    torch.testing.assert_close(soft, dice_loss(logits, labels, dice))
    soft.backward()
    assert target.grad is None


def test_squares_of_a_soft_target():
    """One voxel, p = (1/2, 1/2), t = (1/4, 3/4): with squares 1 - 2 pt / (p^2 + t^2) per class."""
    target = torch.tensor([0.25, 0.75]).reshape(1, 2, 1)
    of_classes = [1 - 2 * 0.5 * t / (0.25 + t * t) for t in (0.25, 0.75)]
    value = soft_dice_loss(torch.zeros(1, 2, 1), target, "batch_squared").item()
    assert value == pytest.approx(sum(of_classes) / 2, abs=1e-4)
    assert soft_dice_loss(torch.zeros(1, 2, 1), target, "foreground_linear").item() == pytest.approx(1 - 0.75 / 1.25)


def test_linear_foreground_is_the_binary_dice_of_the_libraries(golden):
    """Value and gradient of Dice without squares on the foreground, whose constant of 1e-5 is all that differs."""
    figures = Figures(golden("losses_3d_two_class.npz"))
    logits = figures.logits()
    value = dice_loss(logits, figures.image, "foreground_linear")
    value.backward()
    name = "uamt_dice_linear_denominator_foreground"
    assert value.item() == pytest.approx(float(figures.arrays[f"value__{name}"]), abs=1e-7)
    expected = torch.from_numpy(figures.arrays[f"grad__{name}__wrt_net1"])
    torch.testing.assert_close(logits.grad, expected, rtol=1e-6, atol=1e-10)


def test_linear_foreground_spans_the_batch_and_skips_absent_classes():
    """A sample without the class does not cost by itself; a class that nobody has costs 0."""
    labels = torch.tensor([[1, 1, 0], [0, 0, 0]])
    logits = 40 * certain(labels, 3)
    assert dice_loss(logits, labels, "foreground_linear").item() == pytest.approx(0, abs=1e-6)
    missed = torch.zeros_like(logits)
    missed[:, 0] = 40
    assert dice_loss(missed, labels, "foreground_linear").item() == pytest.approx(1 / 2)  # class 2 is absent
    assert dice_loss(missed, 0 * labels, "foreground_linear").item() == 0


def test_targets_of_another_shape():
    with pytest.raises(ValueError, match=r"the target is \(1, 2, 4\); logits are \(1, 2, 3\)"):
        soft_dice_loss(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))


@pytest.mark.parametrize("kind", ["batch_squared", "per_sample", "foreground_linear", "ce"])
def test_only_confident_voxels_count(kind):
    """What is predicted elsewhere changes nothing; with nothing confident all is 0, gradients included."""
    logits, labels = noise(2, 3, 6), torch.arange(12).reshape(2, 6) % 3
    confident = torch.tensor([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1]]).bool()
    changed = torch.where(confident.unsqueeze(1), logits, -3 * logits)
    assert torch.equal(
        confident_loss(logits, labels, confident, kind), confident_loss(changed, labels, confident, kind)
    )
    logits.requires_grad_()
    nothing = confident_loss(logits, labels, torch.zeros_like(confident), kind)
    nothing.backward()
    assert nothing.item() == 0
    assert not logits.grad.any()


def test_cross_entropy_is_divided_by_all_voxels():
    logits, labels = torch.zeros(1, 4, 8), torch.zeros(1, 8, dtype=torch.long)
    confident = torch.arange(8).reshape(1, 8) < 2
    assert confident_loss(logits, labels, confident, "ce").item() == pytest.approx(math.log(4) / 4)


def test_the_constant_of_squared_dice():
    """1e-5 over confident voxels, where the masked Dice of BCP and SDCL has 1e-10."""
    logits, where = torch.tensor([0.0, -5.0]).reshape(1, 2, 1), torch.ones(1, 1, dtype=torch.bool)
    labels = torch.zeros(1, 1, dtype=torch.long)
    p = 1 / (1 + math.exp(5))
    present = 1 - (2 * (1 - p) + 1e-5) / ((1 - p) ** 2 + 1 + 1e-5)
    for smooth, value in ((1e-5, confident_loss(logits, labels, where)), (1e-10, _masked(logits, labels, where))):
        absent = 1 - smooth / (p * p + smooth)
        assert value.item() == pytest.approx((present + absent) / 2, rel=1e-4)


def _masked(logits, labels, where):
    return dice_loss(logits, labels, "batch_squared", where)


def test_the_gap_over_all_voxels_is_the_plain_one():
    """With every voxel selected the masked mean is the mean; with none it is 0."""
    logits, target = noise(2, 4, 5, 3), torch.softmax(noise(2, 4, 5, 3).flip(0), dim=1)
    everywhere = torch.ones(2, 5, 3, dtype=torch.bool)
    torch.testing.assert_close(squared_gap(logits, target, everywhere), squared_gap(logits, target))
    assert squared_gap(logits, target, ~everywhere).item() == 0
