"""ImageNet weights in torchvision's names, made from the published tables and run by functions beside our encoders."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mednoisy.errors import UserError
from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
from mednoisy.networks.encoders import ENCODERS, ImageNetEncoder
from mednoisy.networks.fpn import FPN
from mednoisy.networks.imagenet_weights import Pretrained, load_pretrained
from mednoisy.networks.unet import UNet

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "densenet121": (6, 12, 24, 16),
    "densenet169": (6, 12, 32, 32),
}
PARAMETERS = {  # torchvision's documented counts less the classifier's
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "densenet121": 7_978_856 - 1_025_000,
    "densenet169": 14_149_480 - 1_665_000,
}


def resnet_shapes(name: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "bn1": (64,)}
    expansion = 4 if name == "resnet50" else 1
    inputs = 64
    for layer, count in enumerate(BLOCKS[name], start=1):
        width = 32 * 2**layer
        for block in range(count):
            at = f"layer{layer}.{block}"
            kernels = (1, 3, 1) if expansion == 4 else (3, 3)
            outputs = (width, width, width * 4) if expansion == 4 else (width, width)
            before = inputs
            for number, (kernel, wide) in enumerate(zip(kernels, outputs, strict=True), start=1):
                shapes |= {f"{at}.conv{number}.weight": (wide, before, kernel, kernel), f"{at}.bn{number}": (wide,)}
                before = wide
            if block == 0 and (layer > 1 or expansion == 4):
                shapes |= {f"{at}.downsample.0.weight": (before, inputs, 1, 1), f"{at}.downsample.1": (before,)}
            inputs = before
    return shapes | {"fc.weight": (1000, inputs), "fc.bias": (1000,)}


def densenet_shapes(name: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"features.conv0.weight": (64, 3, 7, 7), "features.norm0": (64,)}
    channels = 64
    for block, count in enumerate(BLOCKS[name], start=1):
        for layer in range(1, count + 1):
            at = f"features.denseblock{block}.denselayer{layer}"
            shapes |= {f"{at}.norm1": (channels,), f"{at}.conv1.weight": (128, channels, 1, 1)}
            shapes |= {f"{at}.norm2": (128,), f"{at}.conv2.weight": (32, 128, 3, 3)}
            channels += 32
        if block < 4:
            at = f"features.transition{block}"
            shapes |= {f"{at}.norm": (channels,), f"{at}.conv.weight": (channels // 2, channels, 1, 1)}
            channels //= 2
    shapes |= {"features.norm5": (channels,)}
    return shapes | {"classifier.weight": (1000, channels), "classifier.bias": (1000,)}


@cache
def released(name: str) -> dict[str, torch.Tensor]:
    """A state dict as torchvision would save it, with weights that keep the scale of what passes through them."""
    generator = torch.Generator().manual_seed(0)
    shapes = resnet_shapes(name) if name.startswith("resnet") else densenet_shapes(name)
    entries = {}
    for key, shape in shapes.items():
        if key.endswith((".weight", ".bias")):
            spread = math.sqrt(2 / math.prod(shape[1:]))
            entries[key] = torch.randn(shape, generator=generator) * spread
        else:  # a batch norm
            entries[f"{key}.weight"] = torch.rand(shape, generator=generator) + 0.5
            entries[f"{key}.bias"] = torch.randn(shape, generator=generator) * 0.1
            entries[f"{key}.running_mean"] = torch.randn(shape, generator=generator) * 0.1
            entries[f"{key}.running_var"] = torch.rand(shape, generator=generator) + 0.5
            entries[f"{key}.num_batches_tracked"] = torch.tensor(7)
    return entries


class Functional:
    """The published networks as plain functions of a state dict in torchvision's names."""

    def __init__(self, entries: dict[str, torch.Tensor]):
        self.entries = {key: value.double() for key, value in entries.items()}

    def conv(self, x, key, stride=1):
        weight = self.entries[f"{key}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(self, x, key):
        statistics = (self.entries[f"{key}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *statistics)

    def resnet_block(self, x, at, stride):
        numbers = [number for number in (1, 2, 3) if f"{at}.conv{number}.weight" in self.entries]
        y = x
        for number in numbers:
            strided = stride if number == numbers[-1] - 1 else 1  # the first of two, the second of three
            y = self.norm(self.conv(y, f"{at}.conv{number}", strided), f"{at}.bn{number}")
            y = F.relu(y) if number < numbers[-1] else y
        if f"{at}.downsample.0.weight" in self.entries:
            x = self.norm(self.conv(x, f"{at}.downsample.0", stride), f"{at}.downsample.1")
        return F.relu(x + y)

    def resnet(self, x, blocks):
        maps = [F.relu(self.norm(self.conv(x, "conv1", 2), "bn1"))]
        x = F.max_pool2d(maps[0], 3, 2, 1)
        for layer, count in enumerate(blocks, start=1):
            for block in range(count):
                x = self.resnet_block(x, f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1)
            maps.append(x)
        return maps

    def densenet(self, x, blocks):
        maps = [F.relu(self.norm(self.conv(x, "features.conv0", 2), "features.norm0"))]
        x = F.max_pool2d(maps[0], 3, 2, 1)
        for block, count in enumerate(blocks, start=1):
            for layer in range(1, count + 1):
                at = f"features.denseblock{block}.denselayer{layer}"
                y = self.conv(F.relu(self.norm(x, f"{at}.norm1")), f"{at}.conv1")
                x = torch.cat([x, self.conv(F.relu(self.norm(y, f"{at}.norm2")), f"{at}.conv2")], dim=1)
            if block < 4:
                maps.append(F.relu(self.norm(x, f"features.transition{block}.norm")))
                x = F.avg_pool2d(self.conv(maps[-1], f"features.transition{block}.conv"), 2, ceil_mode=True)
        return [*maps, self.norm(x, "features.norm5")]


def expected_maps(name: str, entries: dict[str, torch.Tensor], image: torch.Tensor) -> list[torch.Tensor]:
    network = Functional(entries)
    return (network.resnet if name.startswith("resnet") else network.densenet)(image, BLOCKS[name])


def saved(content: object, folder: Path, **options: bool) -> Path:
    torch.save(content, folder / "weights.pth", **options)
    return folder / "weights.pth"


def loaded(name: str, file: Path, in_channels: int = 3) -> ImageNetEncoder:
    encoder = ImageNetEncoder(2, in_channels, name)
    load_pretrained(encoder, file)
    return encoder.eval().double()


def image(channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, 45, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ENCODERS)
def test_parameter_counts_are_the_documented_ones(name):
    ours = sum(parameter.numel() for parameter in ImageNetEncoder(2, 3, name).parameters())
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    theirs = sum(
        value.numel()
        for key, value in released(name).items()
        if not key.endswith(buffers) and not key.startswith(("fc", "classifier"))
    )
    assert ours == theirs == PARAMETERS[name]


@torch.no_grad()
@pytest.mark.parametrize("name", ENCODERS)
def test_loaded_encoder_computes_what_the_published_network_does(name, tmp_path):
    maps = loaded(name, saved(released(name), tmp_path))(image())
    expected = expected_maps(name, released(name), image())
    assert [value.shape for value in maps] == [value.shape for value in expected]
    for value, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("resnet18", "layer3.1.conv1", "layer3.1.conv2"),
        ("resnet50", "layer2.1", "layer2.2"),
        ("densenet121", "features.denseblock2.denselayer3.norm2", "features.denseblock2.denselayer4.norm2"),
    ],
)
def test_two_parts_exchanged_give_other_features(name, one, other, tmp_path):
    """So a mapping that exchanged them could not pass the comparison above."""
    entries = dict(released(name))
    for key in [key for key in entries if key.startswith(f"{one}.")]:
        twin = key.replace(f"{one}.", f"{other}.")
        entries[key], entries[twin] = entries[twin], entries[key]
    last = loaded(name, saved(entries, tmp_path))(image())[-1]
    assert (last - expected_maps(name, released(name), image())[-1]).abs().max() > 1e-3


def old_names(entries):
    return {re.sub(r"(norm|conv)([12])\.", r"\1.\2.", key): value for key, value in entries.items()}


@pytest.mark.parametrize(
    "wrapped",
    [
        old_names,
        lambda entries: {key: value for key, value in entries.items() if not key.endswith("num_batches_tracked")},
        lambda entries: {f"module.{key}": value for key, value in entries.items()},
        lambda entries: {"state_dict": entries, "epoch": 3},
        lambda entries: {key: value for key, value in entries.items() if not key.startswith("classifier")},
    ],
)
def test_the_forms_in_which_files_come_are_read_alike(wrapped, tmp_path):
    plain = loaded("densenet121", saved(released("densenet121"), tmp_path))
    other = loaded("densenet121", saved(wrapped(released("densenet121")), tmp_path))
    parameters = zip(plain.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in parameters)


def test_file_of_the_old_unzipped_format_is_read(tmp_path):
    file = saved(released("resnet18"), tmp_path, _use_new_zipfile_serialization=False)
    assert load_pretrained(ImageNetEncoder(2, 3, "resnet18"), file).entries == 120


@torch.no_grad()
def test_grey_image_gives_what_it_gives_in_all_three_colours(tmp_path):
    file = saved(released("resnet18"), tmp_path)
    grey = image(1)
    expected = loaded("resnet18", file)(grey.expand(-1, 3, -1, -1))
    for value, wanted in zip(loaded("resnet18", file, in_channels=1)(grey), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-5)  # the sum is rounded to float32


def test_report_counts_what_was_taken(tmp_path):
    file = saved(released("resnet34"), tmp_path)
    report = load_pretrained(DeepLabV3Plus(2, 1), file)
    assert report == Pretrained("resnet34", 36 + 36 * 5, 2, True)  # 36 convolutions, each with a norm of five entries
    assert str(report) == (
        "resnet34: 216 entries read, 2 of the classifier left out, the first convolution summed over colours"
    )
    assert str(load_pretrained(DeepLabV3(), file)) == "resnet34: 216 entries read, 2 of the classifier left out"


def test_only_the_encoder_of_a_network_changes(tmp_path):
    network = FPN(encoder="densenet121")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_pretrained(network, saved(released("densenet121"), tmp_path))
    changed = {key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"encoder"}
    assert torch.equal(network.encoder.levels[0].conv0.weight, released("densenet121")["features.conv0.weight"])


def refusal(network: torch.nn.Module, file: Path) -> str:
    before = [value.clone() for value in network.state_dict().values()]
    with pytest.raises(UserError) as caught:
        load_pretrained(network, file)
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    return str(caught.value)


def test_weights_of_another_architecture_are_refused_with_counts_and_examples(tmp_path):
    message = refusal(ImageNetEncoder(2, 3, "resnet18"), saved(released("densenet121"), tmp_path))
    assert message.startswith(f"E344 weights {tmp_path / 'weights.pth'} do not fit the encoder resnet18: ")
    # Twenty norms have a counter each, which a file may lack.
    assert "100 of 120 needed entries are missing (conv1.weight, bn1.weight, bn1.bias, ...); " in message
    assert "725 of 725 entries of the file have no place (conv0.weight, norm0.weight, norm0.bias, ...). " in message
    assert message.endswith("Give a file of torchvision or timm for resnet18 and keep the network's norm 'batch'.")


def test_weights_of_another_depth_are_refused(tmp_path):
    shallow = refusal(ImageNetEncoder(2, 3, "resnet34"), saved(released("resnet18"), tmp_path))
    assert "80 of 216 needed entries are missing (layer1.2.conv1.weight, " in shallow
    assert "have no place" not in shallow
    deep = refusal(ImageNetEncoder(2, 3, "resnet18"), saved(released("resnet34"), tmp_path))
    assert "96 of 216 entries of the file have no place (layer1.2.conv1.weight, " in deep
    assert "missing" not in deep
    wide = refusal(ImageNetEncoder(2, 3, "resnet34"), saved(released("resnet50"), tmp_path))
    assert "have another shape (layer1.0.conv1.weight [64, 64, 1, 1] for [64, 64, 3, 3], " in wide


def test_a_single_missing_entry_is_refused(tmp_path):
    entries = dict(released("resnet18"))
    del entries["layer4.1.bn2.running_var"]
    message = refusal(ImageNetEncoder(2, 3, "resnet18"), saved(entries, tmp_path))
    assert "resnet18: 1 of 120 needed entries are missing (layer4.1.bn2.running_var). " in message


def test_instance_norm_has_no_place_for_the_files_norms(tmp_path):
    message = refusal(ImageNetEncoder(2, 3, "resnet18", "instance"), saved(released("resnet18"), tmp_path))
    assert "100 of 120 entries of the file have no place (bn1.weight, bn1.bias, bn1.running_mean, ...)" in message


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (lambda: DeepLabV3(3, 3, encoder="resnet18"), "ImageNet weights are for images in 2D, the network is in 3D. "),
        (
            lambda: DeepLabV3(2, 4, encoder="resnet18"),
            "ImageNet weights are for 3 channels or 1, the network takes 4. ",
        ),
        (UNet, "UNet has no encoder that ImageNet weights exist for. Take DeepLabV3, "),
        (lambda: torch.nn.Linear(1, 1), "Linear has no encoder that ImageNet weights exist for. "),
    ],
)
def test_networks_without_place_for_imagenet_are_refused(network, cause, tmp_path):
    assert refusal(network(), saved(released("resnet18"), tmp_path)).startswith(f"E343 {cause}")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 1e-6, 1e-5, 1e-4, 0.5, 0.999])
def test_a_truncated_file_is_refused(zipped, share, tmp_path):
    file = saved(released("resnet18"), tmp_path, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert refusal(ImageNetEncoder(2, 3, "resnet18"), file).startswith(f"E340 checkpoint {file} ")


def test_files_that_hold_no_weights_are_refused(tmp_path):
    encoder = ImageNetEncoder(2, 3, "resnet18")
    assert refusal(encoder, tmp_path / "none.pth").startswith(f"E340 checkpoint {tmp_path / 'none.pth'} does not exist")
    assert "pickled objects are refused" in refusal(encoder, saved(torch.nn.Linear(1, 1), tmp_path))
    assert refusal(encoder, saved([torch.ones(1)], tmp_path)).endswith(
        "Give the weights of a classifier as torchvision or timm release them."
    )
