"""Entries of the networks that pages for one's own data have: of this package, of MONAI or of nnU-Net, in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mednoisy.networks.nnunet import MOST_CHANNELS

Entry = dict[str, Any]
Strides = Sequence[Sequence[int]]
FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "mednoisy": "V-Net (2D: U-Net) and its residual partner, as the methods' papers have them",
        "monai": "MONAI's DynUNet, and the same with residual blocks",
        "nnunet": "nnU-Net's own U-Net, and the same with its residual encoder",
    }
)
WIDTHS: Mapping[str, tuple[int, ...]] = MappingProxyType(  # of networks in 3D, from the published one down
    {"mednoisy": (16, 8), "monai": (32, 16), "nnunet": (32, 16)}
)
FLAT_WIDTH: Mapping[str, int] = MappingProxyType({"mednoisy": 16, "monai": 32, "nnunet": 32})
FLAT_STRIDES: Strides = [[2, 2]] * 4
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


def pair_of(
    family: str, axes: int, channels: int, classes: int | str, width: int, strides: Strides, *, norm: str, page: bool
) -> list[Entry]:
    """Two networks of a family, the second of another architecture than the first.

    Args:
        strides: of each level below the first.
        page: whether entries may refer to others of a bundle's page (`@width`).
    """
    if family == "monai":
        return _dyn_unets(axes, channels, classes, width, strides, norm)
    referred: int | str = "@width" if page else width
    if family == "nnunet":
        common: Entry = {"spatial_dims": axes, "in_channels": channels, "num_classes": classes, "width": referred}
        common |= {"norm": norm, "strides": [list(level) for level in strides]}
        target = {"_target_": "mednoisy.networks.nnunet.NNUNet"}
        return [{**target, **common, "residual": residual} for residual in (False, True)]
    if axes == 3:
        entries = volume_networks(channels, classes, referred, strides)
    else:
        widths = "$[@width * 2**level for level in range(5)]" if page else [width * 2**level for level in range(5)]
        entries = flat_networks(channels, classes, widths)
    return [{**entry, "norm": norm} for entry in entries]


def _dyn_unets(axes: int, channels: int, classes: int | str, width: int, strides: Strides, norm: str) -> list[Entry]:
    below = [list(level) for level in strides]
    levels = len(below) + 1
    common: Entry = {"spatial_dims": axes, "in_channels": channels, "out_channels": classes, "norm_name": norm}
    common |= {"kernel_size": [3] * levels, "strides": [1, *below], "upsample_kernel_size": below}
    common |= {"filters": [min(width * 2**level, MOST_CHANNELS[axes]) for level in range(levels)]}
    target = {"_target_": "monai.networks.nets.DynUNet"}
    return [{**target, **common, "res_block": residual} for residual in (False, True)]


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


def trial_networks(axes: int, channels: int, classes: int, width: int, family: str = "mednoisy") -> list[Entry]:
    """Both with their kind's norm and five levels, or four in 3D, to be timed on small patches."""
    strides = FLAT_STRIDES if axes == 2 else [[2, 2, 2]] * 3
    return pair_of(family, axes, channels, classes, width, strides, norm=NORM[axes], page=False)
