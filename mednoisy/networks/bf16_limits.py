"""Where bf16 on a CPU can be trusted: oneDNN's 3D convolutions read memory that nobody wrote on the smallest maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from mednoisy.networks.ensemble import MeanEnsemble

SMALLEST_MAP = 27  # voxels; below, gradients of 3D convolutions are NaN now and then (torch 2.13)
SMALLEST_SIDE = 2  # of a map: at 1 what 3D convolutions give is wrong, finite or not, with no word said (torch 2.13)


def bf16_is_safe(device_type: str, coarsest: Sequence[int]) -> bool:
    """Whether bf16 convolutions down to a feature map of this size can be trusted.

    Examples:
        >>> bf16_is_safe("cpu", [3, 3, 3]), bf16_is_safe("cpu", [6, 6, 1]), bf16_is_safe("cuda", [6, 6, 1])
        (True, False, True)
    """
    if device_type != "cpu" or len(coarsest) != 3:
        return True
    return math.prod(coarsest) >= SMALLEST_MAP and min(coarsest) >= SMALLEST_SIDE


def coarsest_map(size: Sequence[int], networks: Iterable[nn.Module]) -> list[int]:
    """Size of the smallest feature map of all networks for an input of this size, in voxels.

    Networks tell it by their `divisor`, or by `output_stride` where any size will do; the input where by neither.
    """
    strides = [along_axes(stride_of(member), size) for network in networks for member in _members(network)]
    return [-(-side // max(along)) for side, *along in zip(size, *strides, strict=True)]


def divisor_of(network: nn.Module) -> Any:
    """What each side of its input must be a multiple of, one number or one an axis."""
    return getattr(network, "divisor", 1)


def stride_of(network: nn.Module) -> Any:
    """How many voxels of its input one of its coarsest map stands for, one number or one an axis."""
    return getattr(network, "output_stride", divisor_of(network))


def along_axes(number: Any, size: Sequence[int]) -> list[int]:
    """What a network says of its axes, one number for all or one each, as one each."""
    return [int(number)] * len(size) if isinstance(number, int) else [int(each) for each in number]


def _members(network: nn.Module) -> list[nn.Module]:
    if isinstance(network, MeanEnsemble):
        return [each for member in network.members for each in _members(member)]
    return [network]
