"""nnU-Net's own networks, from its package dynamic-network-architectures, which is an extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mednoisy.errors import UserError, check_whole
from mednoisy.networks.blocks import Stride, axis_divisors, check_divisible, divisor_of, strides_down

MOST_CHANNELS = {2: 512, 3: 320}  # by axes, as nnU-Net's planner has them
BLOCKS = (1, 3, 4, 6, 6, 6)  # of each level of the residual encoder, the presets' (Isensee et al. 2024)
CONVOLUTIONS = 2  # of each level of the plain one, and of its decoder
PACKAGE = "dynamic-network-architectures"
EXTRA = "pip install 'mednoisy[nnunet-networks]'"


def architectures() -> Any:
    """The module of nnU-Net's U-Nets.

    Raises:
        UserError: E595, the package is not installed.
    """
    try:
        from dynamic_network_architectures.architectures import unet
    except ModuleNotFoundError as missing:
        cause = f"nnU-Net's networks need dynamic-network-architectures: there is no module {missing.name}"
        raise UserError("E595", cause, f"{EXTRA}, or take other networks") from missing
    return unet


class NNUNet(nn.Module):
    """nnU-Net's U-Net, plain (`PlainConvUNet`) or with its residual encoder (`ResidualEncoderUNet`), and its first
    weights (Isensee et al. 2021, 2024).

    Convolutions of kernel 3 with bias, norm with parameters, leaky ReLU of slope 0.01. There is no deep supervision:
    the heads of coarser maps, which nothing would train, are left out, and so is the decoder's second name for its
    encoder. Departure: kernels are 3 along coarse axes too.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: channels of the logits.
        width: channels at full resolution, doubled from level to level up to 320 (2D: 512).
        norm: "instance" or "batch".
        strides: of each level below the first along each axis, see `strides_down`; None halves all axes four times.
        residual: whether the encoder is the residual one.

    Attributes:
        encoder: gives the maps of all levels as a list, finest first.
        divisor: what every spatial size must be a multiple of; one an axis where strides differ.

    Raises:
        UserError: E595, as `architectures`.
        ValueError: a number that cannot be.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        num_classes: int = 2,
        width: int = 32,
        norm: str = "instance",
        strides: Sequence[Stride] | None = None,
        *,
        residual: bool = False,
    ):
        super().__init__()
        unet = architectures()
        check_whole("a network's width", width, least=1)
        down = strides_down(spatial_dims, 4 if strides is None else len(strides), strides)
        if len(down) >= len(BLOCKS):
            raise ValueError(f"{len(down) + 1} levels; there may be {len(BLOCKS)} at most")
        levels = [(1,) * spatial_dims, *down]
        channels = [min(width * 2**level, MOST_CHANNELS[spatial_dims]) for level in range(len(levels))]
        built = (unet.ResidualEncoderUNet if residual else unet.PlainConvUNet)(
            in_channels,
            len(levels),
            channels,
            {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims],
            [[3] * spatial_dims] * len(levels),
            [list(level) for level in levels],
            list(BLOCKS[: len(levels)]) if residual else [CONVOLUTIONS] * len(levels),
            num_classes,
            [1 if residual else CONVOLUTIONS] * len(down),
            conv_bias=True,
            norm_op=_norm(spatial_dims, norm),
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=False,
        )
        built.apply(built.initialize)
        self.encoder: nn.Module = built.encoder
        self.decoder: Any = built.decoder
        del self.decoder.encoder
        self.decoder.seg_layers = self.decoder.seg_layers[-1:]
        self.divisors = axis_divisors(spatial_dims, down)
        self.divisor = divisor_of(self.divisors)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a size is no multiple of `divisor`."""
        check_divisible(image, self.divisors)
        logits: Tensor = self.decoder(self.encoder(image))
        return logits


def _norm(spatial_dims: int, kind: str) -> type[nn.Module]:
    kinds: dict[str, dict[int, type[nn.Module]]] = {
        "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
        "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    }
    if kind not in kinds:
        raise ValueError(f"norm is {kind!r}; it must be 'batch' or 'instance'")
    return kinds[kind][spatial_dims]
