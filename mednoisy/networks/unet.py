"""U-Net and ResU-Net: concatenated skips, in 2D (as published) or 3D."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from mednoisy.networks.blocks import (
    Decoder,
    Encoder,
    ResidualEncoder,
    Stride,
    axis_divisors,
    check_divisible,
    convolution,
    divisor_of,
    normalisation,
    strides_down,
)


class UNet(nn.Module):
    """Logits from the U-Net of SSL4MIS: mean teacher, BCP and student A of SDCL on ACDC.

    The defaults are the published network with 1,813,764 parameters (the authors' classes of BCP and SDCL carry
    unused projection heads beside them). The last convolution has kernel 3. Convolution weights are drawn by
    He et al. 2015 (normal, fan in, gain of ReLU), as BCP and SDCL do.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        widths: channels of each level from full resolution down.
        dropout: probability with which single values are zeroed in each encoder level in training, one per width.
        norm: "batch" or "instance" (no parameters, no running statistics).
        strides: of each level below the first along each axis, see `strides_down`; None halves all axes.

    Attributes:
        divisor: what every spatial size must be a multiple of, 2 ** (levels - 1); one an axis where strides differ.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 4,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
        norm: str = "batch",
        strides: Sequence[Stride] | None = None,
    ):
        super().__init__()
        down = strides_down(spatial_dims, len(widths) - 1, strides)
        self.divisors = axis_divisors(spatial_dims, down)
        self.divisor = divisor_of(self.divisors)
        self.encoder = PoolingEncoder(spatial_dims, in_channels, widths, dropout, norm, down)
        self.decoder = ConcatenatingDecoder(spatial_dims, widths, norm, down)
        self.head = convolution(spatial_dims, widths[0], num_classes, 3)
        _draw_weights(self, spatial_dims)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a size is no multiple of `divisor`."""
        check_divisible(image, self.divisors)
        return self.head(self.decoder(self.encoder(image)))


class ResUNet(nn.Module):
    """Logits from U-Net's decoder on a residual encoder: student B of SDCL on ACDC (Song and Wang 2024).

    The defaults are the published network: a ResNet-34 encoder, 5,953,092 parameters, no dropout. Weights are
    drawn as in `UNet`.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        widths: channels of each level from full resolution down.
        blocks: residual blocks of each level below the stem, one less than `widths`.
        stem_kernel: kernel of the first convolution, odd.
        norm: "batch" or "instance" (no parameters, no running statistics).
        strides: of each level below the first along each axis, see `strides_down`; None halves all axes.

    Attributes:
        divisor: what every spatial size must be a multiple of, 2 ** (levels - 1); one an axis where strides differ.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 4,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        blocks: Sequence[int] = (3, 4, 6, 3),
        stem_kernel: int = 7,
        norm: str = "batch",
        strides: Sequence[Stride] | None = None,
    ):
        super().__init__()
        down = strides_down(spatial_dims, len(widths) - 1, strides)
        self.divisors = axis_divisors(spatial_dims, down)
        self.divisor = divisor_of(self.divisors)
        self.encoder = ResidualEncoder(spatial_dims, in_channels, widths, blocks, stem_kernel, norm, down)
        self.decoder = ConcatenatingDecoder(spatial_dims, widths, norm, down)
        self.head = convolution(spatial_dims, widths[0], num_classes, 3)
        _draw_weights(self, spatial_dims)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a size is no multiple of `divisor`."""
        check_divisible(image, self.divisors)
        return self.head(self.decoder(self.encoder(image)))


class PoolingEncoder(Encoder):
    """Feature maps at full, half, quarter ... resolution; max pooling leads down."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        widths: Sequence[int],
        dropout: Sequence[float],
        norm: str,
        strides: Sequence[tuple[int, ...]],
    ):
        if len(dropout) != len(widths):
            raise ValueError(f"{len(dropout)} dropout probabilities for {len(widths)} widths; there must be as many")
        levels: list[nn.Module] = [_two_convolutions(spatial_dims, in_channels, widths[0], dropout[0], norm)]
        for above, width, probability, stride in zip(widths[:-1], widths[1:], dropout[1:], strides, strict=True):
            stage = _two_convolutions(spatial_dims, above, width, probability, norm)
            levels.append(nn.Sequential(Pool[Pool.MAX, spatial_dims](stride), stage))
        super().__init__(levels)


class ConcatenatingDecoder(Decoder):
    """The map at full resolution from an encoder's maps; what comes up from below is put behind each."""

    def __init__(self, spatial_dims: int, widths: Sequence[int], norm: str, strides: Sequence[tuple[int, ...]]):
        super().__init__(
            _ConcatenatingLevel(spatial_dims, widths[level + 1], widths[level], norm, strides[level])
            for level in reversed(range(len(widths) - 1))
        )


class _ConcatenatingLevel(nn.Module):
    def __init__(self, spatial_dims: int, inputs: int, outputs: int, norm: str, stride: tuple[int, ...]):
        super().__init__()
        linear = "bilinear" if spatial_dims == 2 else "trilinear"
        factors = tuple(float(factor) for factor in stride)
        self.up = nn.Sequential(
            convolution(spatial_dims, inputs, outputs, 1),
            nn.Upsample(scale_factor=factors, mode=linear, align_corners=True),
        )
        self.stage = _two_convolutions(spatial_dims, 2 * outputs, outputs, 0.0, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.stage(torch.cat([skip, self.up(x)], dim=1))


def _two_convolutions(spatial_dims: int, inputs: int, outputs: int, dropout: float, norm: str) -> nn.Sequential:
    return nn.Sequential(
        convolution(spatial_dims, inputs, outputs, 3),
        normalisation(spatial_dims, outputs, norm),
        nn.LeakyReLU(0.01, inplace=True),
        nn.Dropout(dropout),
        convolution(spatial_dims, outputs, outputs, 3),
        normalisation(spatial_dims, outputs, norm),
        nn.LeakyReLU(0.01, inplace=True),
    )


def _draw_weights(network: nn.Module, spatial_dims: int) -> None:
    for module in network.modules():
        if isinstance(module, Conv[Conv.CONV, spatial_dims]):
            nn.init.kaiming_normal_(module.weight)
