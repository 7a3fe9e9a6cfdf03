"""UniMatch: two strong views, a stream of dropped features, and networks that allow it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mednoisy.errors import UserError
from mednoisy.methods.supervised import Supervised
from mednoisy.methods.unimatch import UniMatch, with_changed_features
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb.strong_views import StrongView
from tests.methods.planted import Planted, batch_of, dice_squared, pixels, sigmoid
from tests.methods.small import small_batch, small_network, step_at

PLAIN = StrongView(jitter=0.0, blur=0.0)
WEAK, STRONG = (4, -4, 1, 5), (1, -2, 3, -0.5)
NETWORKS = {
    "unet": lambda: UNet(2, 1, 2, widths=(4, 6, 8), dropout=(0.0, 0.0, 0.0)),
    "resunet": lambda: ResUNet(2, 1, 2, widths=(4, 6, 8), blocks=(1, 1), stem_kernel=3),
    "vnet": lambda: VNet(3, 1, 2, width=3, convolutions=(1, 1, 2), bottleneck_dropout=0.0, head_dropout=0.0),
    "resvnet": lambda: ResVNet(3, 1, 2, width=3, blocks=(1, 1), convolutions=(1, 1), stem_kernel=3, head_dropout=0.0),
}


def test_four_pixels():
    """Without dropped channels the third stream is the weak view itself; the strong ones are as in FixMatch."""
    method = UniMatch(Planted(), view=PLAIN, boxes=None, feature_dropout=0.0).train()
    terms = method(batch_of(pixels(STRONG), pixels(WEAK)), step_at())["student"]
    strong = dice_squared([sigmoid(x) for x in (1, -2, -0.5)], (1, 0, 1))
    features = dice_squared([sigmoid(x) for x in (4, -4, 5)], (1, 0, 1))
    for name, expected in (("strong_1", strong), ("strong_2", strong), ("features", features)):
        assert terms[name][1].item() == pytest.approx(expected, rel=1e-4), name
    assert {name: weight for name, (weight, _) in terms.items()} == {
        "dice": 0.25, "ce": 0.25, "strong_1": 0.125, "strong_2": 0.125, "features": 0.25, "confident": 0.0
    }  # fmt: skip


def test_dropped_channels():
    """With the only channel of every image dropped, logits are equal: the third stream says one half everywhere."""
    method = UniMatch(Planted(), view=PLAIN, boxes=None, feature_dropout=1 - 1e-9).train()
    terms = method(batch_of(pixels(STRONG), pixels(WEAK)), step_at())["student"]
    assert terms["features"][1].item() == pytest.approx(dice_squared([0.5] * 3, (1, 0, 1)), rel=1e-5)


def test_both_strong_views_differ_and_partners_are_mixed():
    """Each strong view has a look and boxes of its own; the network sees them in one pass."""
    seen = []
    method = UniMatch(Planted(), boxes=lambda count, shape, generator: [(slice(1, 3),)] * count).train()
    method.students["student"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    strong, weak = pixels(STRONG, [5, 6, 7, 9]), pixels(WEAK, WEAK)
    for number in range(5):
        method(batch_of(strong, weak), step_at(number))
    assert [len(images) for images in seen] == [3, 4] * 5
    assert any(not torch.equal(*images.chunk(2)) for images in seen[1::2])


@pytest.mark.parametrize("name", NETWORKS)
def test_changed_features_of_every_network(name):
    """No change gives the plain outputs twice; dropped maps give those of a decoder fed with zeros."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    shape = (8, 12) if name.endswith("unet") else (8, 4, 12)
    plain, doubled = torch.randn(1, 1, *shape), torch.randn(2, 1, *shape)
    same = with_changed_features(network, plain, doubled, lambda maps: maps)
    torch.testing.assert_close(torch.cat(same), network(torch.cat([plain, doubled, doubled])))
    *_, dropped = with_changed_features(network, plain, doubled, torch.zeros_like)
    empty = network.head(network.decoder([torch.zeros_like(maps) for maps in network.encoder(doubled)]))
    torch.testing.assert_close(dropped, empty)
    assert len(network(plain)) == 1  # nothing stays behind on the encoder


@pytest.mark.parametrize(("joint_pass", "images"), [(True, [4, 4]), (False, [2, 2, 4])])
def test_the_encoder_runs_once(joint_pass, images):
    """The features of all images are computed once for the plain and the changed stream."""
    network, passes = NETWORKS["unet"](), []
    network.encoder.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    UniMatch(network, joint_pass=joint_pass)(small_batch(2, (8, 12), crops=2), step_at())
    assert passes == images


class NoList(nn.Module):
    """An encoder that gives one map, not a list."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv3d(1, 2, 1)

    def forward(self, image):
        return self.encoder(image)


class Idle(Planted):
    """An encoder that is not run."""

    def forward(self, image):
        return torch.cat([image, image], dim=1)


def test_networks_without_features_are_refused():
    """At once where there is no encoder, else in the first step."""
    with pytest.raises(UserError, match=r"E123 UniMatch drops .* Sequential has no `encoder`.* or method fixmatch"):
        UniMatch(small_network())
    with pytest.raises(UserError, match=r"E123 .* NoList has no `encoder` that returns a list of maps"):
        UniMatch(NoList())(small_batch(), step_at())
    with pytest.raises(UserError, match=r"E123 .* Idle has no"):
        UniMatch(Idle(), boxes=None)(batch_of(pixels(STRONG)), step_at())


def test_without_unlabeled_weights_half_of_supervised_remains():
    network, batch = NETWORKS["vnet"](), small_batch(2, (8, 4, 12))
    method = UniMatch(network, strong_weight=0.0, feature_weight=0.0)
    plain = Supervised(network)(batch, step_at())["student"].total()
    assert 2 * method(batch, step_at())["student"].total().item() == pytest.approx(plain.item(), rel=1e-5)
