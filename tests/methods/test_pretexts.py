"""Pretexts: what their losses are of, that labels are never read, and what their examples show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mednoisy.data.batch import Batch
from mednoisy.errors import UserError
from mednoisy.losses.invariance import vicreg
from mednoisy.methods.contrastive import Contrastive
from mednoisy.methods.masked_autoencoding import MaskedAutoencoding, masked_squared_gap
from mednoisy.methods.pretext import Pretext
from mednoisy.methods.restoration import Restoration
from mednoisy.networks.vnet import VNet
from tests.methods.small import small_batch, step_at

PRETEXTS = {"restoration": Restoration, "masked_autoencoding": MaskedAutoencoding, "contrastive": Contrastive}
PATCH = (12, 12, 8)


def network(dropout: float = 0.0) -> VNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        options = {"bottleneck_dropout": dropout, "head_dropout": dropout}
        return VNet(3, 1, 3, width=3, convolutions=(1, 1, 1), **options)


def made(name: str, **options: object) -> Pretext:
    return PRETEXTS[name]({"student": network()}, **options)


def batch(**options: object) -> Batch:
    return small_batch(spatial=PATCH, **options)


@pytest.mark.parametrize("name", PRETEXTS)
def test_labels_take_no_part(name):
    """Nor does the strong view; images of both sections do."""
    method, given = made(name), batch()

    def total(of: Batch) -> float:
        return method(of, step_at())["student"].total().item()

    whole = total(given)
    assert total(replace(given, labels=given.labels * 0 + 77, unlabeled=given.unlabeled + 9)) == whole
    assert total(replace(given, labeled=given.labeled.square())) != whole
    assert total(replace(given, unlabeled_weak=given.unlabeled_weak.square())) != whole
    assert method.predictors() == {}


@pytest.mark.parametrize("name", PRETEXTS)
def test_copies_are_trained_and_the_networks_stay(name):
    original = network()
    method = PRETEXTS[name]({"student": original})
    assert dict(method.starts) == {"student": original}
    assert not {id(p) for p in original.parameters()} & {id(p) for p in method.parameters()}
    wanted = original.encoder.state_dict()
    found = method.students["student"].encoder.state_dict()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())
    assert not any(key.startswith("starts") for key in method.state_dict())


def test_the_loss_of_a_network_that_gives_back_what_it_is_given():
    """Restoration's loss is then the mean squared change."""
    method, given = made("restoration"), batch()
    images = torch.cat([given.labeled, given.unlabeled_weak])
    changed = method.changed(images, step_at(3).draw)
    method.students["student"].forward = lambda image: image
    loss = method(given, step_at(3))["student"].total().item()
    assert loss == pytest.approx((changed - images).square().mean().item(), rel=1e-5)
    assert loss > 0.1


def test_changed_images_keep_their_own_range():
    """Of each channel of each image; a flat one stays as it is."""
    method = made("restoration")
    images = torch.randn(6, 2, *PATCH, generator=torch.Generator().manual_seed(0)) * 50 - 7
    images[0, 0] = 3.0
    changed = method.changed(images, step_at().draw)
    assert torch.equal(changed[0, 0], images[0, 0])
    space = (2, 3, 4)
    assert (changed.amin(space) >= images.amin(space) - 1e-4).all()
    assert (changed.amax(space) <= images.amax(space) + 1e-4).all()
    assert (changed[0, 1] != images[0, 1]).any()


def test_only_hidden_voxels_count_in_masked_autoencoding():
    prediction, images = (
        torch.zeros(1, 2, 2, 2),
        torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2).repeat(1, 2, 1, 1),
    )
    hidden = torch.tensor([[[[True, False], [False, True]]]])
    assert masked_squared_gap(prediction, images, hidden).item() == (1 + 16) / 2
    assert masked_squared_gap(prediction, images, torch.zeros_like(hidden)).item() == 0


def test_a_masked_network_sees_zeros_in_three_quarters_and_the_rest_unchanged():
    method, given = made("masked_autoencoding", side=4), batch()
    seen = []
    method.students["student"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    terms = method(given, step_at())["student"]
    images = torch.cat([given.labeled, given.unlabeled_weak])
    hidden = method.hidden(images, step_at().draw)
    assert hidden.float().mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([14 / 18] * 8)  # 3 x 3 x 2 blocks
    assert torch.equal(seen[0], torch.where(hidden, 0.0, images))
    assert terms["masked"][0] == 0
    assert terms["masked"][1].item() == pytest.approx(14 / 18)


def test_the_contrastive_loss_is_vicreg_of_both_looks_in_cells():
    """Eight images need a grid of 2 x 2 x 2 for 32 samples; the coarsest map has 3 x 3 x 2 voxels."""
    method, given = made("contrastive", width=16), batch()
    images = torch.cat([given.labeled, given.unlabeled_weak])
    first, second = method.looks(images, step_at().draw)
    assert not torch.equal(first, second)
    student = method.students["student"].train()
    features = student(torch.cat([first, second]), 2)
    assert features.shape == (2 * 8 * 8, 16)
    wanted = vicreg(*features.chunk(2))
    terms = method(given, step_at())["student"]
    assert {name: weight for name, (weight, _) in terms.items()} == {"invariance": 25, "variance": 25, "covariance": 1}
    assert terms.total().item() == pytest.approx((25 * wanted[0] + 25 * wanted[1] + wanted[2]).item(), rel=1e-4)


def test_enough_images_have_one_feature_each():
    method = made("contrastive", samples=8)
    assert method._grid(8) == 1
    assert method._grid(7) == 2


def test_a_single_sample_is_refused():
    """One image, whose coarsest map is one voxel."""
    method = made("contrastive")
    image = torch.randn(1, 1, 4, 4, 4)
    method.students["student"].encoder.eval()
    alone = Batch(image[:0], torch.zeros(0, 4, 4, 4), image, image)
    for module in method.modules():
        if isinstance(module, torch.nn.InstanceNorm3d):
            module.forward = lambda x: x  # else refused before, by the norm
    with pytest.raises(UserError, match="E505 the contrastive pretext needs two samples, and a batch of 1 crops"):
        method(alone, step_at())


@pytest.mark.parametrize("name", PRETEXTS)
def test_draws_alone_decide_and_differ_by_image_and_step(name):
    method = made(name)
    images = torch.randn(1, 1, *PATCH, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1, 1, 1)
    method.eval()
    shown = [method.example(images, step_at(number).draw) for number in (5, 5, 6)]
    assert all(torch.equal(value, shown[1][key]) for key, value in shown[0].items())
    key = {"contrastive": "first look"}.get(name, "corrupted")
    assert not torch.equal(shown[0][key], shown[2][key])
    assert not torch.equal(shown[0][key][0], shown[0][key][1])
    assert all(value.shape == images.shape for value in shown[0].values())


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("restoration", ["original", "corrupted", "restored by a", "restored by b"]),
        ("masked_autoencoding", ["original", "corrupted", "restored by a", "restored by b"]),
        ("contrastive", ["original", "first look", "second look"]),
    ],
)
def test_examples_of_several_students_name_them(name, pictures):
    method = PRETEXTS[name]({"a": network(), "b": network()})
    images = torch.randn(2, 1, *PATCH)
    assert list(method.example(images, step_at().draw)) == pictures


def test_what_was_not_hidden_is_shown_as_it_is():
    method = made("masked_autoencoding")
    images = torch.randn(2, 1, *PATCH)
    shown = method.example(images, step_at().draw)
    seen = ~method.hidden(images, step_at().draw)
    assert torch.equal(shown["restored"][seen], images[seen])
    assert not torch.equal(shown["restored"], images)


@pytest.mark.parametrize("name", ["restoration", "masked_autoencoding"])
def test_some_steps_of_learning_lower_the_loss(name):
    method, given = made(name), batch(crops=2)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = method(given, step_at(0))["student"].total()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
