"""Which half of a batch meets which, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from mednoisy.errors import UserError
from mednoisy.methods.labeled_unlabeled_copy_paste import bidirectional
from mednoisy.methods.method import forward_each
from tests.methods.small import small_batch, small_network

BOX = (slice(2, 6), slice(0, 4), slice(1, 5))


@pytest.mark.parametrize(
    ("pairing", "order", "patches"),
    [
        ("same", ["labeled_outside", "unlabeled_outside"], ("unlabeled_a", "unlabeled_b")),
        ("cross", ["unlabeled_outside", "labeled_outside"], ("unlabeled_b", "unlabeled_a")),
    ],
)
def test_pairs(pairing, order, patches):
    """The labeled background is half a, the labeled patch half b; pairing decides the unlabeled partner."""
    batch = small_batch()
    names = ["labeled_a", "labeled_b", "unlabeled_a", "unlabeled_b"]
    numbered = {name: float(number) for number, name in enumerate(names)}
    ones = torch.ones(2, 1, 8, 7, 6)
    batch = replace(
        batch,
        labeled=torch.cat([numbered["labeled_a"] * ones, numbered["labeled_b"] * ones]),
        unlabeled=torch.cat([numbered["unlabeled_a"] * ones, numbered["unlabeled_b"] * ones]),
    )
    mixtures = bidirectional(batch, batch.unlabeled[:, 0].long(), BOX, pairing, 0.3)
    assert list(mixtures) == order
    first, second = mixtures["labeled_outside"], mixtures["unlabeled_outside"]
    assert first.images[0, 0, 0, 0, 0] == numbered["labeled_a"]
    assert first.images[0, 0, 3, 1, 2] == numbered[patches[0]] == first.labels[0, 3, 1, 2]
    assert second.images[0, 0, 0, 0, 0] == numbered[patches[1]] == second.labels[0, 0, 0, 0]
    assert second.images[0, 0, 3, 1, 2] == numbered["labeled_b"]
    assert first.weights()[0, 0, 0].item() == second.weights()[3, 1, 2].item() == 1
    assert first.weights()[3, 1, 2].item() == second.weights()[0, 0, 0].item() == pytest.approx(0.3)
    assert torch.equal(first.outside, second.outside)


def test_batches_that_cannot_be_paired():
    """Odd, empty and unequal batches are refused in one line with the cure."""
    odd = small_batch(crops=3)
    with pytest.raises(UserError, match=r"E120 the labeled batch holds 3 crops; .* Choose an even number of labeled"):
        bidirectional(odd, odd.labels, BOX, "same", 0.5)
    batch = small_batch()
    fewer = replace(batch, unlabeled=batch.unlabeled[:2])
    with pytest.raises(UserError, match="E121 a step has 4 labeled and 2 unlabeled crops"):
        bidirectional(fewer, batch.labels[:2], BOX, "same", 0.5)
    with pytest.raises(ValueError, match="pairing is 'both'"):
        bidirectional(batch, batch.labels, BOX, "both", 0.5)


def test_one_pass_where_it_is_exact():
    """One pass and two give the same outputs; batch norm in training gets two, so its statistics stay apart."""
    passes = []
    for norm, training, expected in (("instance", True, 1), ("batch", True, 2), ("batch", False, 1)):
        network = small_network(norm=norm).train(training)
        apart = nn.ModuleList([network]).train(training)[0]
        network.register_forward_hook(lambda *_: passes.append(1))
        inputs = small_batch().labeled.chunk(2)
        passes.clear()
        together = forward_each(network, *inputs)
        assert len(passes) == expected
        for output, images in zip(together, inputs, strict=True):
            torch.testing.assert_close(output, apart(images))
