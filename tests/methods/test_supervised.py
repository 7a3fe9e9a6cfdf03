"""Supervised learning, and copy-paste between labeled images, whose limiting case it is."""

from __future__ import annotations

import pytest
import torch

from mednoisy.errors import UserError
from mednoisy.losses.segmentation import cross_entropy, dice_loss
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.supervised import Supervised, SupervisedEnsemble
from mednoisy.perturb.copy_paste import BoxRule
from tests.methods.small import gradients, small_batch, small_network, step_at


@pytest.mark.parametrize("dice", ["per_sample", "batch_squared", "foreground_squared"])
def test_half_dice_half_cross_entropy(dice):
    """The total is the published loss, and unlabeled images have no part in it."""
    batch, network = small_batch(), small_network()
    method = Supervised(network, dice=dice)
    logits = network(batch.labeled)
    expected = (dice_loss(logits, batch.labels, dice) + cross_entropy(logits, batch.labels)) / 2
    torch.testing.assert_close(method(batch, step_at())["student"].total(), expected)
    assert list(method.predictors()) == ["student"]


def test_dice_alone():
    """With its whole share cross-entropy is told, but takes no part."""
    batch, network = small_batch(), small_network()
    terms = Supervised(network, "foreground_linear", dice_share=1.0)(batch, step_at())["student"]
    torch.testing.assert_close(terms.total(), dice_loss(network(batch.labeled), batch.labels, "foreground_linear"))
    assert terms["ce"][0] == 0


@pytest.mark.parametrize(("classes", "spatial"), [(2, (8, 7, 6)), (4, (9, 8))])
def test_a_box_as_large_as_the_image_changes_nothing(classes, spatial):
    """With ratio 1 both directions together are the labeled batch with its halves exchanged."""
    batch, network = small_batch(classes, spatial), small_network(classes, len(spatial))
    mixed = SupervisedCopyPaste({"student": network}, box=BoxRule(ratio=1.0))
    plain = Supervised(network)
    for mine, theirs in zip(
        gradients(mixed, "student", batch, step_at()), gradients(plain, "student", batch, step_at()), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_regions_count_alike():
    """`per_region` adds the losses of outside and box, so it is larger than the loss of the whole mixture."""
    batch, network = small_batch(), small_network()
    whole = SupervisedCopyPaste({"student": network})(batch, step_at())["student"]
    regions = SupervisedCopyPaste({"student": network}, loss="per_region")(batch, step_at())["student"]
    assert regions["ce"][1].item() == pytest.approx(2 * whole["ce"][1].item(), rel=0.1)


def test_several_students():
    """Each learns for itself, and their mean is deployed."""
    networks = {"a": small_network(seed=1), "b": small_network(seed=2)}
    method = SupervisedCopyPaste(networks, both_directions=False)
    terms = method(small_batch(), step_at())
    terms["a"].total().backward(inputs=list(method.students["a"].parameters()))
    assert all(parameter.grad is None for parameter in networks["b"].parameters())
    assert list(method.predictors()) == ["mean", "a", "b"]
    assert list(SupervisedCopyPaste({"student": networks["a"]}).predictors()) == ["student"]


def test_the_draw_decides_the_box():
    """Equal steps give equal losses, another number another box."""
    method, batch = SupervisedCopyPaste({"student": small_network()}), small_batch()
    first, again, other = (method(batch, step_at(number))["student"].total().item() for number in (1, 1, 2))
    assert first == again != other


def test_an_odd_batch_is_refused():
    """Three labeled crops have no halves."""
    with pytest.raises(UserError, match="E120 the labeled batch holds 3 crops"):
        SupervisedCopyPaste({"student": small_network()})(small_batch(crops=3), step_at())
    with pytest.raises(ValueError, match="loss is 'mixed'"):
        SupervisedCopyPaste({"student": small_network()}, loss="mixed")


def test_an_ensemble_of_networks_that_learn_each_for_itself():
    """Each has the terms and the gradient of its own supervised training, and the mean of both is deployed."""
    batch, a, b = small_batch(), small_network(seed=1), small_network(seed=2)
    method = SupervisedEnsemble({"a": a, "b": b})
    for name, network in (("a", a), ("b", b)):
        alone = Supervised(network)(batch, step_at())["student"].total()
        torch.testing.assert_close(method(batch, step_at())[name].total(), alone)
    predictors = method.predictors()
    assert list(predictors) == ["mean", "a", "b"]
    mean = (a(batch.labeled).softmax(1) + b(batch.labeled).softmax(1)) / 2
    torch.testing.assert_close(predictors["mean"](batch.labeled).softmax(1), mean)


@pytest.mark.parametrize(("networks", "cause"), [("a", "of 1 networks"), ("aa", "the same weights")])
def test_an_ensemble_needs_networks_that_differ(networks, cause):
    with pytest.raises(ValueError, match=cause):
        SupervisedEnsemble({str(place): small_network() for place, _ in enumerate(networks)})
