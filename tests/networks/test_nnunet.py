"""nnU-Net's networks as nnU-Net builds them, with what everything here asks of a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mednoisy.active.features import feature_encoder
from mednoisy.networks.bf16_limits import coarsest_map
from mednoisy.networks.nnunet import NNUNet
from mednoisy.networks.reconstruction import bottleneck_channels, image_channels, reconstructing

STRIDES = [[2, 2, 1], [2, 2, 2]]


@pytest.mark.parametrize("residual", [False, True])
def test_logits_are_those_of_nnunets_own_class(residual):
    """With its weights, by name: what is left out takes no part."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

    ours = NNUNet(3, 2, 3, 4, strides=STRIDES, residual=residual).eval()
    depth = ([1, 3, 4], [1, 1]) if residual else ([2, 2, 2], [2, 2])
    theirs = (ResidualEncoderUNet if residual else PlainConvUNet)(
        2, 3, [4, 8, 16], nn.Conv3d, [[3, 3, 3]] * 3, [[1, 1, 1], *STRIDES], depth[0], 3, depth[1], True,
        nn.InstanceNorm3d, {"eps": 1e-5, "affine": True}, None, None, nn.LeakyReLU, {"inplace": True},
    ).eval()  # fmt: skip
    weights = ours.state_dict()
    weights["decoder.seg_layers.1.weight"] = weights.pop("decoder.seg_layers.0.weight")
    weights["decoder.seg_layers.1.bias"] = weights.pop("decoder.seg_layers.0.bias")
    left_out = theirs.load_state_dict(weights, strict=False)
    assert not left_out.unexpected_keys
    assert all(name.startswith(("decoder.encoder.", "decoder.seg_layers.0.")) for name in left_out.missing_keys)
    image = torch.rand(1, 2, 8, 8, 4)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("axes", [2, 3])
def test_every_weight_is_trained_and_features_come_finest_first(axes):
    network, sizes = NNUNet(axes, 1, 2, 2, strides=[[2] * axes] * 2), [8, 4, 2]
    image = torch.rand(2, 1, *[8] * axes)
    network(image).square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert [list(maps.shape[1:]) for maps in feature_encoder(network)(image)] == [
        [2 * 2**level, *[size] * axes] for level, size in enumerate(sizes)
    ]


def test_pretexts_find_what_they_need():
    network = NNUNet(3, 2, 3, 4, strides=STRIDES, residual=True)
    assert (image_channels(network), bottleneck_channels(network), network.divisor) == (2, 16, (4, 4, 2))
    assert coarsest_map([16, 16, 8], [network]) == [4, 4, 4]
    assert reconstructing(network)(torch.rand(1, 2, 8, 8, 4)).shape == (1, 2, 8, 8, 4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"norm": "group"}, "norm is 'group'"),
        ({"strides": [[2, 2, 2]] * 6}, "7 levels; there may be 6 at most"),
        ({"width": 0}, "a network's width is 0"),
    ],
)
def test_numbers_that_cannot_be(arguments, told):
    with pytest.raises(ValueError, match=told):
        NNUNet(**arguments)


def test_sizes_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match=r"its axes must be multiples of \[4, 4, 2\]"):
        NNUNet(3, 1, 2, 2, strides=STRIDES)(torch.zeros(1, 1, 8, 6, 4))
