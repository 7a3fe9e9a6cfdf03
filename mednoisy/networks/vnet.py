"""V-Net and ResV-Net: additive skips, in 3D (as published) or 2D."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.layers.factories import Conv, Dropout
from torch import Tensor, nn

from mednoisy.networks.blocks import (
    Decoder,
    Encoder,
    ResidualEncoder,
    Stride,
    axis_divisors,
    check_divisible,
    convolution,
    convolution_stage,
    divisor_of,
    normalisation,
    strides_down,
)


class VNet(nn.Module):
    """Logits from the V-Net of the UA-MT family, whose blocks are plain and whose skips are added.

    The defaults are the student A and the teacher of SDCL on left atrium and pancreas (Song and Wang 2024), with
    9,443,266 parameters. UA-MT and BCP on left atrium use norm "batch"; BCP on pancreas both dropouts 0.
    PyTorch's own initialisation, as published.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        width: channels at full resolution; each level down doubles them.
        norm: "instance" (no parameters, no running statistics) or "batch".
        bottleneck_dropout: probability with which a whole channel of the lowest map is zeroed in training.
        head_dropout: the same before the last convolution.
        convolutions: convolutions at each level from full resolution down, in encoder and decoder alike.
        strides: of each level below the first along each axis, see `strides_down`; None halves all axes.

    Attributes:
        divisor: what every spatial size must be a multiple of, 2 ** (levels - 1); one an axis where strides differ.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        num_classes: int = 2,
        width: int = 16,
        norm: str = "instance",
        bottleneck_dropout: float = 0.5,
        head_dropout: float = 0.5,
        convolutions: Sequence[int] = (1, 2, 3, 3, 3),
        strides: Sequence[Stride] | None = None,
    ):
        super().__init__()
        widths = [width * 2**level for level in range(len(convolutions))]
        down = strides_down(spatial_dims, len(convolutions) - 1, strides)
        self.divisors = axis_divisors(spatial_dims, down)
        self.divisor = divisor_of(self.divisors)
        self.encoder = PlainEncoder(spatial_dims, in_channels, widths, convolutions, norm, down)
        self.bottleneck_dropout = Dropout[Dropout.DROPOUT, spatial_dims](bottleneck_dropout)
        self.decoder = AddingDecoder(spatial_dims, widths, convolutions[:-1], norm, down)
        self.head = _head(spatial_dims, width, num_classes, head_dropout)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a size is no multiple of `divisor`."""
        check_divisible(image, self.divisors)
        maps = self.encoder(image)
        maps[-1] = self.bottleneck_dropout(maps[-1])
        return self.head(self.decoder(maps))


class ResVNet(nn.Module):
    """Logits from V-Net's decoder on a residual encoder: student B of SDCL in 3D (Song and Wang 2024).

    The defaults are the published network: a ResNet-34 encoder, 17,920,018 parameters (the authors' class carries
    an unused V-Net encoder beside it). Dropout acts only in the head.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        width: channels at full resolution; each level down doubles them.
        norm: "instance" (no parameters, no running statistics) or "batch".
        head_dropout: probability with which a whole channel is zeroed before the last convolution in training.
        blocks: residual blocks of each level below the stem.
        convolutions: convolutions of each decoder level from full resolution down, as many as `blocks`.
        stem_kernel: kernel of the first convolution, odd.
        strides: of each level below the first along each axis, see `strides_down`; None halves all axes.

    Attributes:
        divisor: what every spatial size must be a multiple of, 2 ** len(blocks); one an axis where strides differ.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        num_classes: int = 2,
        width: int = 16,
        norm: str = "instance",
        head_dropout: float = 0.5,
        blocks: Sequence[int] = (3, 4, 6, 3),
        convolutions: Sequence[int] = (1, 2, 3, 3),
        stem_kernel: int = 7,
        strides: Sequence[Stride] | None = None,
    ):
        super().__init__()
        widths = [width * 2**level for level in range(len(blocks) + 1)]
        down = strides_down(spatial_dims, len(blocks), strides)
        self.divisors = axis_divisors(spatial_dims, down)
        self.divisor = divisor_of(self.divisors)
        self.encoder = ResidualEncoder(spatial_dims, in_channels, widths, blocks, stem_kernel, norm, down)
        self.decoder = AddingDecoder(spatial_dims, widths, convolutions, norm, down)
        self.head = _head(spatial_dims, width, num_classes, head_dropout)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a size is no multiple of `divisor`."""
        check_divisible(image, self.divisors)
        return self.head(self.decoder(self.encoder(image)))


class PlainEncoder(Encoder):
    """Feature maps at full, half, quarter ... resolution; a convolution as large as its stride leads down."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        widths: Sequence[int],
        convolutions: Sequence[int],
        norm: str,
        strides: Sequence[tuple[int, ...]],
    ):
        levels = [convolution_stage(spatial_dims, in_channels, widths[0], convolutions[0], norm)]
        for above, width, repeats, stride in zip(widths[:-1], widths[1:], convolutions[1:], strides, strict=True):
            down = nn.Sequential(
                convolution(spatial_dims, above, width, stride, stride=stride),
                normalisation(spatial_dims, width, norm),
                nn.ReLU(inplace=True),
            )
            levels.append(nn.Sequential(down, convolution_stage(spatial_dims, width, width, repeats, norm)))
        super().__init__(levels)


class AddingDecoder(Decoder):
    """The map at full resolution from an encoder's maps; each is added to what comes up from below."""

    def __init__(
        self,
        spatial_dims: int,
        widths: Sequence[int],
        convolutions: Sequence[int],
        norm: str,
        strides: Sequence[tuple[int, ...]],
    ):
        if len(widths) != len(convolutions) + 1:
            raise ValueError(f"{len(convolutions)} decoder stages for {len(widths)} levels; there must be one less")
        super().__init__(
            _AddingLevel(spatial_dims, widths[level + 1], widths[level], convolutions[level], norm, strides[level])
            for level in reversed(range(len(convolutions)))
        )


class _AddingLevel(nn.Module):
    def __init__(self, spatial_dims: int, inputs: int, outputs: int, repeats: int, norm: str, stride: tuple[int, ...]):
        super().__init__()
        self.up = nn.Sequential(
            Conv[Conv.CONVTRANS, spatial_dims](inputs, outputs, stride, stride=stride),
            normalisation(spatial_dims, outputs, norm),
            nn.ReLU(inplace=True),
        )
        self.stage = convolution_stage(spatial_dims, outputs, outputs, repeats, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.stage(self.up(x) + skip)


def _head(spatial_dims: int, width: int, num_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        Dropout[Dropout.DROPOUT, spatial_dims](dropout), convolution(spatial_dims, width, num_classes, 1)
    )
