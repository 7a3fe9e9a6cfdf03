"""The feature pyramid network against a second implementation of segmentation_models_pytorch's decoder."""

from __future__ import annotations

import re

import pytest
import torch
from monai.bundle import ConfigParser
from torch.nn import functional as F

from mednoisy.networks.encoders import ENCODERS, ImageNetEncoder
from mednoisy.networks.fpn import FPN


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_count_is_that_of_the_published_network():
    assert count(FPN(2, 3, 1, "resnet34")) == 23_155_393


@torch.no_grad()
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_logits_have_the_size_of_the_image(spatial_dims, encoder):
    size = (33, 40, 18)[:spatial_dims]
    assert FPN(spatial_dims, 2, 5, encoder).eval()(normal(1, 2, *size)).shape == (1, 5, *size)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 2), (5, 7), (32, 1), (127, 129)])
def test_any_size_will_do(size):
    assert FPN(encoder="resnet18").eval()(normal(1, 3, *size)).shape == (1, 2, *size)


@torch.no_grad()
@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoder_has_a_map_at_each_stride_with_the_channels_that_it_says(encoder):
    network = ImageNetEncoder(2, 3, encoder).eval()
    shapes = [tuple(value.shape[1:]) for value in network(normal(1, 3, 64, 96))]
    assert shapes == [(width, 32 // 2**level, 48 // 2**level) for level, width in enumerate(network.channels)]


def published_decoder(network: FPN, maps: list[torch.Tensor]) -> torch.Tensor:
    """Logits at stride 4 by the published steps, each a factor of two, from the network's own weights."""

    def project(layer, x):
        return F.conv2d(x, layer.weight, layer.bias)

    _, quarter, eighth, sixteenth, coarsest = maps
    levels = [project(network.top, coarsest)]
    for lateral, skip in zip(network.laterals, (sixteenth, eighth, quarter), strict=True):
        levels.append(project(lateral.project, skip) + F.interpolate(levels[-1], scale_factor=2, mode="nearest"))
    total = torch.zeros(())
    for x, branch, enlargements in zip(levels, network.branches, (3, 2, 1, 0), strict=True):
        assert len(branch.convolutions) == max(enlargements, 1)
        for layer in branch.convolutions:
            x = F.relu(
                F.group_norm(F.conv2d(x, layer.conv.weight, padding=1), 32, layer.adn.N.weight, layer.adn.N.bias)
            )
            if enlargements:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        total = total + x
    return F.interpolate(project(network.head[1], total), scale_factor=4, mode="bilinear", align_corners=True)


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["densenet121", "resnet18"])
def test_logits_are_those_of_the_published_steps_where_sizes_halve_evenly(encoder):
    network = FPN(encoder=encoder).eval().double()
    for parameter in network.branches.parameters():
        parameter.add_(0.1 * normal(*parameter.shape))  # norms that are not the identity
    image = normal(2, 3, 64, 96, dtype=torch.float64)
    expected = published_decoder(network, network.encoder(image))
    torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("encoder", ["densenet121", "resnet50"])
def test_a_batch_of_one_trains_and_reaches_every_parameter(encoder):
    network = FPN(encoder=encoder).train()
    logits = network(normal(1, 3, 64, 64))
    logits.square().sum().backward()
    assert torch.isfinite(logits).all()
    unused = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert unused == set()


@torch.no_grad()
@pytest.mark.parametrize(("norm", "training"), [("instance", True), ("instance", False), ("batch", False)])
def test_an_image_has_the_same_logits_in_any_batch(norm, training):
    network = FPN(encoder="densenet121", norm=norm, dropout=0.0).double().train(training)
    images = normal(3, 3, 40, 64, dtype=torch.float64)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, rtol=1e-9, atol=1e-9)


def test_whole_channels_are_dropped():
    """With every channel dropped only the last bias is left."""
    network = FPN(encoder="resnet18", dropout=1.0).train()
    logits = network(normal(1, 3, 64, 64))
    torch.testing.assert_close(logits, network.head[1].bias.reshape(1, 2, 1, 1).expand_as(logits))


def test_a_single_value_a_channel_is_refused_where_a_norm_needs_more():
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="batch norm would see one value a channel at stride 32"):
        FPN(encoder="resnet18").train()(image)
    with pytest.raises(ValueError, match="instance norm would see one value a channel at stride 32"):
        FPN(encoder="densenet121", norm="instance").eval()(image)
    FPN(encoder="resnet18").eval()(image)


@torch.no_grad()
@pytest.mark.parametrize(("spatial_dims", "encoder"), [(2, "densenet121"), (3, "resnet18")])
def test_scripted_network_gives_the_same_logits(spatial_dims, encoder):
    network = FPN(spatial_dims, encoder=encoder).eval()
    image = normal(1, 3, *[40] * spatial_dims)
    torch.testing.assert_close(torch.jit.script(network)(image), network(image))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FPN(encoder="resnet10"), "encoder is 'resnet10'; it must be one of resnet18, resnet34, resnet50, "),
        (lambda: FPN(norm="group"), "norm is 'group'; it must be 'batch' or 'instance'"),
        (lambda: ImageNetEncoder(2, 3, "densenet121", output_stride=16), "for densenet121 it must be in (32,)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(build, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["densenet169", "resnet34"])
def test_logits_equal_those_of_segmentation_models_pytorch(encoder):
    peer = pytest.importorskip("segmentation_models_pytorch").FPN(encoder, encoder_weights=None, classes=2).eval()
    network = FPN(encoder=encoder).eval()
    decoder = peer.decoder
    own = [network.encoder, network.top, *(lateral.project for lateral in network.laterals), *network.branches]
    theirs = [peer.encoder, decoder.p5, *(level.skip_conv for level in (decoder.p4, decoder.p3, decoder.p2))]
    theirs += [*decoder.seg_blocks, peer.segmentation_head[0]]
    for ours, other in zip([*own, network.head[1]], theirs, strict=True):
        values = other.state_dict().values()
        ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    image = normal(1, 3, 64, 96)
    torch.testing.assert_close(network(image), peer(image))


@torch.no_grad()
def test_networks_of_segmentation_models_pytorch_serve_as_network_def():
    pytest.importorskip("segmentation_models_pytorch")
    options = {"encoder_name": "resnet18", "encoder_weights": None, "in_channels": 1, "classes": 4}
    parser = ConfigParser({"network_def": {"_target_": "segmentation_models_pytorch.Unet", **options}})
    assert parser.get_parsed_content("network_def").eval()(normal(1, 1, 32, 64)).shape == (1, 4, 32, 64)
