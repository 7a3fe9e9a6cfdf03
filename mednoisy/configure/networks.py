"""Entries of the networks that pages for one's own data have: a U-Net or V-Net, and a residual partner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Entry = dict[str, Any]
CONVOLUTIONS = [1, 2, 3, 3, 3]  # of V-Net's levels, as published; shallower networks have the first of them
BLOCKS = [3, 4, 6, 3]  # of its partner's
NORM = {2: "batch", 3: "instance"}  # as the kinds of bundles have it
DEEPLAB = {
    "_target_": "mednoisy.networks.deeplab.DeepLabV3",
    "spatial_dims": 2,
    "in_channels": 3,
    "num_classes": "@num_classes",
    "norm": "@norm",
    "encoder": "resnet34",
}


def volume_networks(
    channels: int, classes: int | str, width: int | str, strides: Sequence[Sequence[int]]
) -> list[Entry]:
    """V-Net and ResV-Net with strides along each axis."""
    common = {"spatial_dims": 3, "in_channels": channels, "num_classes": classes, "width": width}
    levels = [list(level) for level in strides]
    plain = {"convolutions": CONVOLUTIONS[: len(levels) + 1], "strides": levels}
    residual = {"blocks": BLOCKS[: len(levels)], "convolutions": CONVOLUTIONS[: len(levels)], "strides": levels}
    return [
        {"_target_": "mednoisy.networks.vnet.VNet", **common, **plain},
        {"_target_": "mednoisy.networks.vnet.ResVNet", **common, **residual},
    ]


def flat_networks(channels: int, classes: int | str, widths: Sequence[int] | str) -> list[Entry]:
    """U-Net and ResU-Net in 2D, with five levels."""
    common = {"spatial_dims": 2, "in_channels": channels, "num_classes": classes, "widths": widths}
    return [{"_target_": f"mednoisy.networks.unet.{name}", **common} for name in ("UNet", "ResUNet")]


def trial_networks(axes: int, channels: int, classes: int, width: int) -> list[Entry]:
    """Both with their kind's norm and five levels, or four in 3D, to be timed on small patches."""
    if axes == 2:
        entries = flat_networks(channels, classes, [width * 2**level for level in range(5)])
    else:
        entries = volume_networks(channels, classes, width, [[2, 2, 2]] * 3)
    return [{**entry, "norm": NORM[axes]} for entry in entries]
