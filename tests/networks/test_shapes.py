"""What all four networks promise: any channels, classes, widths and levels, in 2D and 3D."""

from __future__ import annotations

import re

import pytest
import torch

from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet

SMALL = {
    VNet: {"width": 4, "convolutions": (1, 2, 2)},
    ResVNet: {"width": 4, "blocks": (1, 1), "convolutions": (1, 2), "stem_kernel": 5},
    UNet: {"widths": (4, 8, 16), "dropout": (0.0, 0.1, 0.2)},
    ResUNet: {"widths": (4, 8, 16), "blocks": (1, 1), "stem_kernel": 5},
}


def small(build, spatial_dims=2, **options):
    return build(spatial_dims, 3, 5, **(SMALL[build] | options))


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("build", SMALL)
def test_logits_have_the_size_of_the_image(build, spatial_dims, norm):
    network = small(build, spatial_dims, norm=norm)
    assert network.divisor == 4
    for training in (True, False):
        logits = network.train(training)(torch.rand(2, 3, *(8, 12, 16)[:spatial_dims]))
        assert logits.shape == (2, 5, *(8, 12, 16)[:spatial_dims])


@pytest.mark.parametrize("build", SMALL)
def test_every_parameter_is_reached_by_the_logits(build):
    network = small(build, norm="batch")
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("build", SMALL)
def test_five_levels_by_default(build):
    assert build().divisor == 16


@pytest.mark.parametrize("build", SMALL)
def test_a_size_that_does_not_divide_is_refused(build):
    message = "The network's input has size [8, 10]; every axis must be a multiple of 4."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small(build)(torch.rand(1, 3, 8, 10))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("build", SMALL)
def test_scripted_network_gives_the_same_logits(build, spatial_dims):
    network = small(build, spatial_dims).eval()
    image = torch.rand(1, 3, *[8] * spatial_dims)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))


def test_whole_channels_are_dropped_in_a_vnet():
    """With every bottleneck channel dropped, what lies below the last skip cannot matter."""
    network = small(VNet, norm="batch", bottleneck_dropout=1.0, head_dropout=0.0).train()
    image = torch.rand(1, 3, 8, 8)
    before = network(image)
    with torch.no_grad():
        next(network.encoder.levels[-1].parameters()).add_(1.0)
    torch.testing.assert_close(network(image), before)


def test_unet_weights_are_drawn_after_he():
    weight = UNet().encoder.levels[4][1][4].weight  # 256 channels of kernel 3x3 in: variance 2 / (256 * 9)
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (VNet, {"norm": "group"}, "norm is 'group'; it must be 'batch' or 'instance'"),
        (ResVNet, {"stem_kernel": 4}, "stem_kernel is 4; it must be odd"),
        (ResVNet, {"blocks": (1, 1, 1)}, "2 decoder stages for 4 levels"),
        (UNet, {"dropout": (0.0,)}, "1 dropout probabilities for 3 widths"),
        (ResUNet, {"blocks": (1,)}, "3 widths for 1 residual layers"),
    ],
)
def test_arguments_that_contradict_are_refused(build, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small(build, **options)


STRIDES = [[2, 2, 1], [2, 2, 2]]


@pytest.mark.parametrize("build", SMALL)
def test_strides_along_each_axis(build):
    """An axis that is halved once gives a lowest map of half its size, one that is halved twice of a quarter."""
    network = small(build, 3, strides=STRIDES)
    assert network.divisor == (4, 4, 2)
    image = torch.rand(2, 3, 8, 12, 6)
    assert network(image).shape == (2, 5, 8, 12, 6)
    assert network.encoder(image)[-1].shape[2:] == (2, 3, 3)
    with pytest.raises(ValueError, match=re.escape("has size [8, 12, 5]; its axes must be multiples of [4, 4, 2]")):
        network(torch.rand(1, 3, 8, 12, 5))


@pytest.mark.parametrize("build", SMALL)
def test_strides_of_two_are_the_published_network(build):
    weights = [(name, tensor.shape) for name, tensor in small(build, 3).state_dict().items()]
    assert [(n, t.shape) for n, t in small(build, 3, strides=[2, [2, 2, 2]]).state_dict().items()] == weights


@pytest.mark.parametrize("build", SMALL)
def test_a_network_with_strides_of_its_own_is_scripted(build):
    network = small(build, 3, strides=STRIDES).eval()
    image = torch.rand(1, 3, 8, 8, 4)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))


@pytest.mark.parametrize(
    ("strides", "message"),
    [
        ([2], "1 strides for 3 levels; there must be one less"),
        ([2, [2, 2]], "stride [2, 2] for 3 axes; there must be one an axis"),
        ([2, [2, 2, 0]], "a network's stride is 0; it must be a whole number from 1 on"),
    ],
)
@pytest.mark.parametrize("build", SMALL)
def test_strides_that_do_not_fit_are_refused(build, strides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small(build, 3, strides=strides)


def test_a_network_of_one_level_takes_any_size():
    network = UNet(3, 1, 2, widths=(4,), dropout=(0.0,))
    assert network.divisor == 1
    assert network(torch.rand(1, 1, 3, 5, 7)).shape == (1, 2, 3, 5, 7)
