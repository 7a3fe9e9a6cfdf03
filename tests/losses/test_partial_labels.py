"""Losses of labels with ignored voxels are the losses of the other voxels, in value and gradient."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.partial_labels import PARTIAL
from mednoisy.losses.discrepancy import doubt_where_wrong, squared_gap_to_label
from mednoisy.losses.segmentation import DiceKind, cross_entropy, dice_loss, mixed_loss

CLASSES, SHAPE = 4, (2, 6, 10)
KNOWN = 7  # columns, of 10; what lies in the others is ignored
KINDS = get_args(DiceKind)


def logits() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SHAPE[0], CLASSES, *SHAPE[1:], generator=generator, dtype=torch.float64, requires_grad=True)


def labels() -> Tensor:
    return torch.randint(0, CLASSES, SHAPE, generator=torch.Generator().manual_seed(1))


def region(seed: int = 2) -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed)) < 0.6


def partial(labels: Tensor) -> Tensor:
    marked = labels.to(PARTIAL)
    marked[..., KNOWN:] = IGNORED
    return marked


TRUST = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)).double()
LOSSES = {  # of logits, labels, the columns that both have
    **{f"dice_{kind}": lambda x, y, n, kind=kind: dice_loss(x, y, kind) for kind in KINDS},
    **{f"dice_{kind}_where": lambda x, y, n, kind=kind: dice_loss(x, y, kind, region()[..., :n]) for kind in KINDS},
    "dice_in_a_shared_region": lambda x, y, n: dice_loss(x, y, "batch_squared", region()[0, :, :n]),
    "dice_smooth": lambda x, y, n: dice_loss(x, y, "batch_squared", region()[..., :n], smooth=0.5),
    "cross_entropy": lambda x, y, n: cross_entropy(x, y),
    "cross_entropy_where": lambda x, y, n: cross_entropy(x, y, region()[..., :n]),
    **{
        f"mixed_{kind}_{part}": lambda x, y, n, kind=kind, part=part: mixed_loss(
            x, y, region()[0, :, :n], 1.0, 0.5, kind
        )[part]
        for kind in KINDS
        for part in (0, 1)
    },
    "gap": lambda x, y, n: squared_gap_to_label(x, y, region()[..., :n], TRUST[..., :n]),
    "doubt": lambda x, y, n: doubt_where_wrong(x, y, region()[..., :n], TRUST[..., :n]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_might_as_well_not_be_there(name):
    """The same as of images that end where the ignored voxels begin."""
    loss, whole = LOSSES[name], logits()
    value = loss(whole, partial(labels()), SHAPE[-1])
    (gradient,) = torch.autograd.grad(value, whole)
    cropped = whole.detach()[..., :KNOWN].clone().requires_grad_()
    expected = loss(cropped, labels()[..., :KNOWN], KNOWN)
    (wanted,) = torch.autograd.grad(expected, cropped)
    assert value.item() > 0
    torch.testing.assert_close(value, expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient[..., :KNOWN], wanted, atol=1e-12, rtol=1e-12)
    assert (gradient[..., KNOWN:] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_known_costs_nothing(name):
    """0 and a gradient of 0, without NaN, also in 32 bits."""
    for dtype in (torch.float64, torch.float32):
        whole = logits().detach().to(dtype).requires_grad_()
        value = LOSSES[name](whole, torch.full(SHAPE, IGNORED, dtype=PARTIAL), SHAPE[-1])
        (gradient,) = torch.autograd.grad(value, whole)
        assert value.item() == 0
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_labels_that_could_hold_ignored_voxels_and_do_not(name):
    """The same values as of int64, but for rounding."""
    value = LOSSES[name](logits(), labels().to(PARTIAL), SHAPE[-1])
    torch.testing.assert_close(value, LOSSES[name](logits(), labels(), SHAPE[-1]), atol=1e-12, rtol=1e-12)
