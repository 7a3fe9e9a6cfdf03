"""A convolution of one crop: where PyTorch carries it out, and that nothing else changes."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from mednoisy.networks import single_crop
from mednoisy.networks.single_crop import LEAVES_ONEDNN, Conv3d
from mednoisy.networks.vnet import ResVNet, VNet


def backend(images: torch.Tensor, layer: nn.Conv3d) -> str:
    """Which of PyTorch's implementations convolves `images`."""
    settings = (layer.stride, layer.padding, layer.dilation, False, (0, 0, 0), layer.groups)
    return torch._C._select_conv_backend(images, layer.weight, layer.bias, *settings).name


def convolved(layer: nn.Conv3d, images: torch.Tensor) -> list[torch.Tensor]:
    """What `layer` is given by itself to convolve."""
    seen = []
    forward = layer._conv_forward
    layer._conv_forward = lambda given, *rest: (seen.append(given), forward(given, *rest))[1]
    layer(images)
    return seen


@pytest.mark.parametrize("channels", [1, LEAVES_ONEDNN // 64, LEAVES_ONEDNN // 64 + 1])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (2, 2)])
def test_one_crop_never_leaves_onednn(channels, kernel, stride):
    layer = Conv3d(channels, 2, kernel, stride=stride)
    one = torch.randn(1, channels, 8, 8, 4)
    assert (backend(one, layer) == "Mkldnn") == (channels * 64 > LEAVES_ONEDNN)  # why this is there
    (given,) = convolved(layer, one)
    assert backend(given, layer) == "Mkldnn"


@pytest.mark.parametrize(("crops", "precision"), [(2, None), (1, torch.bfloat16)])
def test_what_stays_in_onednn_is_not_repeated(crops, precision):
    layer, images = Conv3d(1, 2, 3), torch.randn(crops, 1, 8, 8, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is not None):
        (given,) = convolved(layer, images)
    assert given is images


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("network", [VNet, ResVNet])
def test_outputs_gradients_and_statistics_are_those_of_plain_convolutions(monkeypatch, network, norm):
    """In double precision, where every crop is repeated once for this and none of them by itself."""
    torch.manual_seed(0)
    plain = network(width=2, norm=norm).double()
    for layer in plain.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
    repeating = copy.deepcopy(plain)
    image = torch.randn(1, 1, 32, 32, 16, dtype=torch.float64)
    wanted = plain(image)
    monkeypatch.setattr(single_crop, "_leaves_onednn", lambda *_: True)
    outputs = repeating(image)
    assert_close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
    assert_close(outputs, wanted)
    wanted.square().mean().backward()
    outputs.square().mean().backward()
    for mine, theirs in zip(repeating.parameters(), plain.parameters(), strict=True):
        assert_close(mine.grad, theirs.grad)
    for mine, theirs in zip(repeating.buffers(), plain.buffers(), strict=True):
        assert_close(mine, theirs)


@pytest.mark.filterwarnings("ignore:.torch.jit.trace_method")
def test_traced_and_scripted_networks_take_any_number_of_crops():
    layer = Conv3d(1, 2, 3).eval()
    images = torch.randn(3, 1, 8, 8, 4)
    for exported in (torch.jit.script(layer), torch.jit.trace(layer, images[:1])):
        torch.testing.assert_close(exported(images), layer(images))
