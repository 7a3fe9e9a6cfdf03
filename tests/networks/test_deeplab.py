"""DeepLabV3 and V3+ and their dilated ResNets: sizes, published counts, and what dilation must leave unchanged."""

from __future__ import annotations

import re

import pytest
import torch

from mednoisy.networks.deeplab import AtrousPyramid, DeepLabV3, DeepLabV3Plus
from mednoisy.networks.encoders import RESNETS, ImageNetEncoder

BOTH = pytest.mark.parametrize("build", [DeepLabV3, DeepLabV3Plus])


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_those_of_the_published_networks():
    """Torchvision's 42,004,074 hold an auxiliary head of 2,365,205; the other is segmentation_models_pytorch's."""
    assert count(DeepLabV3(2, 3, 21, "resnet50", output_stride=8)) == 42_004_074 - 2_365_205
    assert count(DeepLabV3Plus(2, 3, 1, "resnet34")) == 22_437_457


@torch.no_grad()
@pytest.mark.parametrize("encoder", RESNETS)
@pytest.mark.parametrize("spatial_dims", [2, 3])
@BOTH
def test_logits_have_the_size_of_the_image(build, spatial_dims, encoder):
    network = build(spatial_dims, 2, 5, encoder).eval()
    size = (33, 40, 18)[:spatial_dims]
    assert network(normal(1, 2, *size)).shape == (1, 5, *size)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 2), (5, 7), (16, 1), (127, 129)])
@BOTH
def test_any_size_will_do(build, size):
    assert build(encoder="resnet18").eval()(normal(1, 3, *size)).shape == (1, 2, *size)


@torch.no_grad()
@pytest.mark.parametrize(("output_stride", "sizes"), [(8, [32, 16, 8, 8, 8]), (16, [32, 16, 8, 4, 4])])
@BOTH
def test_output_stride_is_that_of_the_encoders_last_map(build, output_stride, sizes):
    encoder = build(encoder="resnet18", output_stride=output_stride).encoder.eval()
    assert [value.shape[-1] for value in encoder(normal(1, 3, 64, 64))] == sizes


@torch.no_grad()
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(("name", "size"), [("resnet18", (64, 75)), ("resnet50", (33, 64)), ("resnet18", (33, 40, 18))])
def test_dilated_network_equals_the_strided_one_where_that_has_values(name, size, output_stride):
    """Dilation reads the same positions that the stride would have left, zeros beyond the border included."""
    strided = ImageNetEncoder(len(size), 3, name).eval().double()
    dilated = ImageNetEncoder(len(size), 3, name, output_stride=output_stride).eval().double()
    dilated.load_state_dict(strided.state_dict())
    image = normal(1, 3, *size, dtype=torch.float64)
    for level, (dense, sparse) in enumerate(zip(dilated(image), strided(image), strict=True)):
        step = max(1, 2 ** (level + 1) // output_stride)
        subsampled = dense[(..., *[slice(None, None, step)] * len(size))]
        torch.testing.assert_close(subsampled, sparse, rtol=1e-10, atol=1e-10)


def offsets_seen(branch: torch.nn.Module) -> list[int]:
    """Where, around a point, a convolution with weights of one answers to that point; on the point's row."""
    layer = next(module for module in branch.modules() if isinstance(module, torch.nn.Conv2d))
    torch.nn.init.ones_(layer.weight)
    point = torch.zeros(1, layer.in_channels, 81, 81)
    point[:, :, 40, 40] = 1.0
    with torch.no_grad():
        return [place - 40 for place in layer(point)[0, 0, 40].nonzero().flatten().tolist()]


@BOTH
def test_pyramid_looks_at_its_rates(build):
    for options, rates in (({}, (6, 12, 18)), ({"output_stride": 8}, (12, 24, 36)), ({"rates": (2, 5)}, (2, 5))):
        branches = build(encoder="resnet18", **options).pyramid.branches
        expected = [[0], *([-rate, 0, rate] for rate in rates)]
        assert [offsets_seen(branch) for branch in branches] == expected


@torch.no_grad()
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_pyramid_sees_the_whole_map_by_its_mean(spatial_dims):
    """With the other branches cut off, only the mean over space tells, and it tells the same everywhere."""
    pyramid = AtrousPyramid(spatial_dims, 8, (2,), 0.5, "batch", separable=False).eval()
    pyramid.join[0].conv.weight[:, : 2 * 256] = 0.0
    x = normal(2, 8, *[6] * spatial_dims)
    y = pyramid(x)
    torch.testing.assert_close(y, y.flatten(2).mean(dim=2).reshape(2, 256, *[1] * spatial_dims).expand_as(y))
    torch.testing.assert_close(pyramid(x.flip(-1).transpose(-1, -2)), y)
    shifted = x.clone()
    shifted[0] += normal(8, *[1] * spatial_dims)
    changed = (pyramid(shifted) - y).abs().flatten(1).amax(dim=1)
    assert changed[0] > 1e-3
    assert changed[1] == 0


@torch.no_grad()
def test_detail_passes_beside_the_pyramid():
    """Without the pyramid DeepLabV3+ still tells images apart, by the map at stride 4, and DeepLabV3 does not."""
    for build, expected in ((DeepLabV3Plus, True), (DeepLabV3, False)):
        network = build(encoder="resnet18").eval()
        network.pyramid.join[0].conv.weight.zero_()
        assert (network(normal(1, 3, 32, 32)) - network(torch.zeros(1, 3, 32, 32))).abs().max().gt(1e-4) == expected


@pytest.mark.parametrize("output_stride", [8, 16])
@BOTH
def test_a_batch_of_one_trains_and_reaches_every_parameter(build, output_stride):
    network = build(encoder="resnet18", output_stride=output_stride).train()
    logits = network(normal(1, 3, 32, 32))
    logits.square().sum().backward()
    assert torch.isfinite(logits).all()
    assert all(parameter.grad is not None for parameter in network.parameters())


@torch.no_grad()
@pytest.mark.parametrize(("norm", "training"), [("instance", True), ("instance", False), ("batch", False)])
@BOTH
def test_an_image_has_the_same_logits_in_any_batch(build, norm, training):
    network = build(encoder="resnet18", norm=norm, dropout=0.0).double().train(training)
    images = normal(3, 3, 32, 40, dtype=torch.float64)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, rtol=1e-9, atol=1e-9)


@BOTH
def test_a_single_value_a_channel_is_refused_where_a_norm_needs_more(build):
    image = torch.rand(1, 3, 16, 16)
    network = build(encoder="resnet18")
    message = (
        "The network's input has size [16, 16]; batch norm would see one value a channel at stride 16. "
        "Give an axis of more than 16."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network.train()(image)
    network(torch.cat([image, image]))
    network.eval()(image)
    build(encoder="resnet18", output_stride=8)(image)
    with pytest.raises(ValueError, match="instance norm would see one value a channel at stride 16"):
        build(encoder="resnet18", norm="instance").eval()(torch.cat([image, image]))


@BOTH
def test_instance_norm_stands_everywhere_but_behind_the_mean(build):
    network = build(encoder="resnet18", norm="instance")
    kinds = {type(module).__name__ for module in network.modules() if "Norm" in type(module).__name__}
    assert kinds == {"InstanceNorm2d", "GroupNorm"}


@torch.no_grad()
@pytest.mark.parametrize("spatial_dims", [2, 3])
@BOTH
def test_scripted_network_gives_the_same_logits(build, spatial_dims):
    network = build(spatial_dims, encoder="resnet18").eval()
    image = normal(1, 3, *[20] * spatial_dims)
    torch.testing.assert_close(torch.jit.script(network)(image), network(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "densenet121"}, "encoder is 'densenet121'; DeepLab needs one that can be dilated: resnet18, "),
        ({"output_stride": 4}, "output_stride is 4; it must be 8 or 16"),
        ({"output_stride": 32}, "output_stride is 32; it must be 8 or 16"),
        ({"norm": "group"}, "norm is 'group'; it must be 'batch' or 'instance'"),
    ],
)
@BOTH
def test_arguments_that_do_not_fit_are_refused(build, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(**options)
