"""FixMatch on four pixels: who is labeled by whom, where, and with which weight."""

from __future__ import annotations

import math

import pytest
import torch

from mednoisy.losses.segmentation import dice_loss
from mednoisy.methods.fixmatch import FixMatch
from mednoisy.methods.supervised import Supervised
from mednoisy.perturb.strong_views import StrongView
from tests.methods.planted import Planted, batch_of, dice_squared, pixels, sigmoid
from tests.methods.small import gradients, small_batch, small_network, step_at

PLAIN = StrongView(jitter=0.0, blur=0.0)  # the strong view is the recipe's
WEAK, STRONG = (4, -4, 1, 5), (1, -2, 3, -0.5)  # sure with .98, .98, .73 and .99


def of_planted(**arguments) -> FixMatch:
    return FixMatch(Planted(), view=PLAIN, **arguments).train()


def middle(count, shape, generator):
    return [(slice(1, 3),)] * count


def test_four_pixels():
    """The third pixel is not sure: squared Dice of the strong view over the others, with the weak view's labels."""
    terms = of_planted(boxes=None)(batch_of(pixels(STRONG), pixels(WEAK)), step_at())["student"]
    expected = dice_squared([sigmoid(x) for x in (1, -2, -0.5)], (1, 0, 1))
    assert terms["strong"][1].item() == pytest.approx(expected, rel=1e-5)
    assert terms["confident"][1].item() == 0.75


def test_cross_entropy_is_shared_out_over_all_pixels():
    """The version for natural images divides by four pixels, not by the three that are sure."""
    terms = of_planted(boxes=None, unlabeled_loss="ce")(batch_of(pixels(STRONG), pixels(WEAK)), step_at())["student"]
    expected = -(math.log(sigmoid(1)) + math.log(sigmoid(2)) + math.log(sigmoid(-0.5))) / 4
    assert terms["strong"][1].item() == pytest.approx(expected, rel=1e-5)


def test_labels_and_confidence_are_mixed_as_the_images_are():
    """Each image's middle comes from the one before it, with that one's labels and confidence."""
    weak = pixels(WEAK, [-4, 1, 4, -5])
    strong = pixels(STRONG, [0.1, 0.2, 0.3, 0.4])
    terms = of_planted(boxes=middle)(batch_of(strong, weak), step_at())["student"]
    # first: 1, (0.2 unsure), 0.3, -0.5 with labels 1, -, 1, 1; second: 0.1, -2, (3 unsure), 0.4 with 0, 0, -, 0
    expected = dice_squared([sigmoid(x) for x in (1, 0.3, -0.5, 0.1, -2, 0.4)], (1, 1, 1, 0, 0, 0))
    assert terms["strong"][1].item() == pytest.approx(expected, rel=1e-5)


def test_the_total_is_half_of_each_part():
    """L = (L_x + L_s) / 2 with L_x = (dice + ce) / 2."""
    batch = batch_of(pixels(STRONG), pixels(WEAK))
    method = of_planted(boxes=None)
    terms = method(batch, step_at())["student"]
    supervised = Supervised(method.students["student"])(batch, step_at())["student"].total()
    expected = (supervised + terms["strong"][1]) / 2
    assert terms.total().item() == pytest.approx(expected.item(), rel=1e-6)
    assert terms["strong"][0] == 0.5


def test_an_unsure_network_learns_from_labels_alone():
    """Where nothing reaches the threshold the gradient is half that of supervised learning."""
    batch, network = small_batch(), small_network()
    method = FixMatch(network, threshold=1.1)
    terms = method(batch, step_at())["student"]
    assert terms["strong"][1].item() == terms["confident"][1].item() == 0
    for mine, theirs in zip(
        gradients(method, "student", batch, step_at()),
        gradients(Supervised(network), "student", batch, step_at()),
        strict=True,
    ):
        torch.testing.assert_close(2 * mine, theirs)


def test_the_weak_view_teaches_and_does_not_learn():
    """The only way from the loss to the weights leads through the strong view: of two scales only its own matters."""
    network = Planted()
    terms = FixMatch(network, view=PLAIN, boxes=None)(batch_of(pixels(STRONG), pixels(WEAK)), step_at())["student"]
    found = torch.autograd.grad(terms["strong"][1], network.encoder.scale)[0]
    scale = torch.tensor(1.0, requires_grad=True)
    sure = pixels([1, -2, -0.5]) * scale
    loss = dice_loss(torch.cat([torch.zeros_like(sure), sure], dim=1), torch.tensor([[1, 0, 1]]), "batch_squared")
    assert found.item() == pytest.approx(torch.autograd.grad(loss, scale)[0].item(), rel=1e-5)


def test_the_strong_view_is_another():
    """Jitter and blur change what the network sees, and only of the strong view."""
    seen = []
    network = small_network()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = small_batch()
    FixMatch(network, view=StrongView(jitter=1.0, blur=1.0), boxes=None)(batch, step_at())
    assert torch.equal(seen[0], torch.cat([batch.labeled, batch.unlabeled_weak]))
    assert seen[1].shape == batch.unlabeled.shape
    assert not any(torch.equal(mine, theirs) for mine, theirs in zip(seen[1], batch.unlabeled, strict=True))
