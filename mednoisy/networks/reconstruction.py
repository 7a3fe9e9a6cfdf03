"""Networks that give images instead of logits, and features of the map that they have at their coarsest."""

from __future__ import annotations

import copy
from typing import Any

import torch
from monai.networks.utils import replace_modules
from torch import Tensor, nn
from torch.nn import functional

from mednoisy.errors import UserError

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
QUARTER = 4
HEAD_SEED = 0  # the head's initial weights are the same in every run; all others are the network's own


def image_channels(network: nn.Module) -> int:
    """How many channels of an image the network takes: those of its first convolution.

    Raises:
        UserError: E503, it has no convolution.
    """
    return _convolutions(network)[0][1].in_channels


def image_dimensions(network: nn.Module) -> int:
    """Axes of an image that the network takes, 2 or 3: those of its first convolution.

    Raises:
        UserError: E503, it has no convolution.
    """
    return _convolutions(network)[0][1].weight.ndim - 2


def reconstructing(network: nn.Module) -> nn.Module:
    """A copy of the network whose last convolution gives as many channels as the image has, from new weights.

    Everything else is copied, weights and attributes, so that whatever works on the network works on the copy; the
    network itself stays as it is. The last convolution is the one that is listed last, as in all networks here.

    Raises:
        UserError: E503, there is no convolution, or the last one makes no logits (groups).
    """
    channels, changed = image_channels(network), copy.deepcopy(network)
    name, last = _convolutions(changed)[-1]
    if last.groups != 1:
        raise _unfit(network, f"its last convolution, {name!r}, has {last.groups} groups")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(HEAD_SEED)
        kind: Any = type(last)
        head = kind(
            last.in_channels,
            channels,
            last.kernel_size,
            stride=last.stride,
            padding=last.padding,
            dilation=last.dilation,
            bias=last.bias is not None,
            device=last.weight.device,
        )
    replace_modules(changed, name, head)
    return changed


def encoder_of(network: nn.Module) -> nn.Module:
    """The part of a network that gives its feature maps as a list, finest first: its submodule `encoder`.

    Raises:
        UserError: E503, it has none.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise _unfit(network, "it has no `encoder` that gives a list of feature maps")
    return encoder


def bottleneck_channels(network: nn.Module) -> int:
    """How many channels the coarsest feature map of a network has; nothing is computed.

    Raises:
        UserError: E503, it has no `encoder` that gives a list of feature maps.
    """
    encoder = copy.deepcopy(encoder_of(network)).to("meta").eval()
    dimensions = image_dimensions(encoder)
    stride = getattr(network, "divisor", getattr(network, "output_stride", 32))
    sides = [2 * each for each in ([stride] * dimensions if isinstance(stride, int) else stride)]
    maps = encoder(torch.empty(1, image_channels(encoder), *sides, device="meta"))
    if not isinstance(maps, list | tuple):
        raise _unfit(network, "its `encoder` gives no list of feature maps")
    return int(maps[-1].shape[1])


def pooled(maps: Tensor, grid: int = 1) -> Tensor:
    """Means of a map (B, D, *S) in each cell of a grid: (B * cells, D), images one after another."""
    cells = [min(grid, side) for side in maps.shape[2:]]
    pool: Any = functional.adaptive_avg_pool2d if len(cells) == 2 else functional.adaptive_avg_pool3d
    return pool(maps, cells).flatten(2).transpose(1, 2).flatten(0, 1)


def at_quarter(network: nn.Module, image: Tensor) -> Tensor:
    """What a network gives for pictures (B, C, rows, columns), at a quarter of their size, rounded up.

    Networks that interpolate their logits tell the coarser map itself (`coarse_logits`), which is at a quarter already
    or is interpolated to it; what others give is averaged (`quartered`).
    """
    coarse = getattr(network, "coarse_logits", network)
    given: Tensor = coarse(image)
    if given.shape[2:] == image.shape[2:]:
        return quartered(given)
    wanted = [-(-side // QUARTER) for side in image.shape[2:]]
    if list(given.shape[2:]) == wanted:
        return given
    return functional.interpolate(given, size=wanted, mode="bilinear", align_corners=False)


def quartered(pictures: Tensor) -> Tensor:
    """(B, C, rows, columns) at a quarter of the size, rounded up: means of 4 x 4 pixels, fewer at the far borders."""
    return functional.avg_pool2d(pictures, QUARTER, ceil_mode=True, count_include_pad=False)


def _convolutions(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Conv3d]]:
    found = [(name, part) for name, part in network.named_modules() if isinstance(part, CONVOLUTIONS)]
    if not found:
        raise _unfit(network, "it has no convolution")
    return found


def _unfit(network: nn.Module, why: str) -> UserError:
    return UserError(
        "E503",
        f"{type(network).__name__} cannot learn a pretext: {why}",
        "Take a network of mednoisy.networks (network_def), or train without a pretext",
    )
