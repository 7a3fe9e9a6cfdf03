"""Networks that give images, and features of their coarsest maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mednoisy.errors import UserError
from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
from mednoisy.networks.fpn import FPN
from mednoisy.networks.reconstruction import (
    bottleneck_channels,
    encoder_of,
    image_channels,
    pooled,
    reconstructing,
)
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet

NETWORKS = {
    "vnet": (lambda: VNet(3, 2, 4, width=2, convolutions=(1, 1, 1)), (2, 8, 8, 8), 8),
    "resvnet": (lambda: ResVNet(3, 1, 4, width=2, blocks=(1, 1), convolutions=(1, 1)), (1, 8, 8, 8), 8),
    "strided": (lambda: VNet(3, 1, 4, width=2, convolutions=(1, 1), strides=[(2, 2, 1)]), (1, 8, 8, 5), 4),
    "unet": (lambda: UNet(2, 3, 4, widths=(4, 6), dropout=(0, 0)), (3, 8, 6), 6),
    "resunet": (lambda: ResUNet(2, 1, 4, widths=(4, 6), blocks=(1,)), (1, 8, 6), 6),
    "deeplab": (lambda: DeepLabV3(encoder="resnet18"), (3, 64, 48), 512),
    "deeplab_plus": (lambda: DeepLabV3Plus(encoder="resnet18"), (3, 64, 48), 512),
    "fpn": (lambda: FPN(encoder="densenet121"), (3, 64, 64), 1024),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_copy_gives_images_and_the_network_stays(name):
    """Every entry but the head's is a copy; features of original and copy are equal."""
    make, shape, width = NETWORKS[name]
    network = make().eval()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    copied = reconstructing(network).eval()
    image = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert copied(image).shape == image.shape
        assert network(image).shape[1] != shape[0]
        features = pooled(encoder_of(network)(image)[-1])
        assert torch.equal(features, pooled(encoder_of(copied)(image)[-1]))
    assert features.shape == (2, width)
    assert bottleneck_channels(network) == width
    assert image_channels(network) == shape[0]
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    differ = {key for key, value in copied.state_dict().items() if value.shape != state[key].shape}
    assert {key.partition(".")[0] for key in differ} == {"head"}
    pointers = {parameter.data_ptr() for parameter in network.parameters()}
    assert not pointers & {parameter.data_ptr() for parameter in copied.parameters()}


def test_the_head_is_drawn_alike_whatever_the_global_generator_did():
    network = UNet(2, widths=(4, 6), dropout=(0, 0))
    before = torch.get_rng_state()
    first = reconstructing(network).head.weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(reconstructing(network).head.weight, first)


def test_cells_of_a_grid_are_means_in_order():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert pooled(maps, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pooled(maps).item() == 7.5
    assert pooled(maps, 9).flatten().tolist() == list(range(16))  # no more cells than voxels


def test_networks_that_cannot_learn_a_pretext_are_named():
    plain = nn.Sequential(nn.Conv2d(1, 2, 1))
    with pytest.raises(UserError, match="E503 Sequential cannot learn a pretext: it has no `encoder`"):
        encoder_of(plain)
    with pytest.raises(UserError, match="E503 ReLU cannot learn a pretext: it has no convolution"):
        reconstructing(nn.ReLU())
    grouped = nn.Sequential(nn.Conv2d(2, 4, 1, groups=2))
    with pytest.raises(UserError, match="its last convolution, '0', has 2 groups"):
        reconstructing(grouped)
    plain.encoder = nn.Conv2d(1, 2, 1)
    with pytest.raises(UserError, match="gives no list of feature maps"):
        bottleneck_channels(plain)
