"""Parts that the networks share: normalised convolutions and the residual encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from mednoisy.errors import check_whole
from mednoisy.networks.single_crop import Conv3d


def check_divisible(image: Tensor, divisor: int) -> None:
    """Raise ValueError unless every spatial axis of `image`, (B, C, *spatial), is a multiple of `divisor`."""
    sizes = list(image.shape[2:])
    for size in sizes:
        if size % divisor != 0:
            raise ValueError(f"The network's input has size {sizes}; every axis must be a multiple of {divisor}.")


def convolution(
    spatial_dims: int, inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True
) -> nn.Module:
    """A convolution with the padding that keeps the size (for an even kernel, as large as its stride: none)."""
    check_whole("a network's number of channels", outputs, least=1)
    layer = Conv3d if spatial_dims == 3 else Conv[Conv.CONV, spatial_dims]
    return layer(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2, bias=bias)


def normalisation(spatial_dims: int, channels: int, kind: str) -> nn.Module:
    """Batch norm, or instance norm with neither parameters nor running statistics, eps 1e-5 in both."""
    if kind == "batch":
        return Norm[Norm.BATCH, spatial_dims](channels)
    if kind == "instance":
        return Norm[Norm.INSTANCE, spatial_dims](channels)
    raise ValueError(f"norm is {kind!r}; it must be 'batch' or 'instance'")


def convolution_stage(spatial_dims: int, inputs: int, outputs: int, repeats: int, norm: str) -> nn.Sequential:
    """`repeats` times: convolution of kernel 3, norm, ReLU."""
    layers: list[nn.Module] = []
    for repeat in range(repeats):
        layers += [
            convolution(spatial_dims, inputs if repeat == 0 else outputs, outputs, 3),
            normalisation(spatial_dims, outputs, norm),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Two bias-free convolutions of kernel 3 beside a shortcut (He et al. 2016, figure 2).

    The shortcut is a strided 1x1x1 convolution with norm where the size changes.
    """

    def __init__(self, spatial_dims: int, inputs: int, outputs: int, stride: int, norm: str):
        super().__init__()
        self.residual = nn.Sequential(
            convolution(spatial_dims, inputs, outputs, 3, stride=stride, bias=False),
            normalisation(spatial_dims, outputs, norm),
            nn.ReLU(inplace=True),
            convolution(spatial_dims, outputs, outputs, 3, bias=False),
            normalisation(spatial_dims, outputs, norm),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                convolution(spatial_dims, inputs, outputs, 1, stride=stride, bias=False),
                normalisation(spatial_dims, outputs, norm),
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class Encoder(nn.Module):
    """Feature maps at full, half, quarter ... resolution, one for each level."""

    def __init__(self, levels: Iterable[nn.Module]):
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """The map at full resolution from an encoder's maps, by levels from the coarsest up."""

    def __init__(self, levels: Iterable[nn.Module]):
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps.pop()
        for level in self.levels:
            x = level(x, maps.pop())
        return x


class ResidualEncoder(Encoder):
    """Feature maps at full, half, quarter ... resolution from a ResNet without max pool.

    With blocks (3, 4, 6, 3) it is a ResNet-34 whose stem keeps the resolution and whose four layers all halve it.

    Args:
        widths: channels of each map, one more than `blocks`.
        blocks: residual blocks of each layer below the stem.
        stem_kernel: kernel of the stem's convolution, odd.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        stem_kernel: int,
        norm: str,
    ):
        if stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel is {stem_kernel}; it must be odd to keep the size")
        if len(widths) != len(blocks) + 1:
            raise ValueError(f"{len(widths)} widths for {len(blocks)} residual layers; there must be one more width")
        stem = nn.Sequential(
            convolution(spatial_dims, in_channels, widths[0], stem_kernel, bias=False),
            normalisation(spatial_dims, widths[0], norm),
            nn.ReLU(inplace=True),
        )
        layers = [
            nn.Sequential(
                ResidualBlock(spatial_dims, widths[level], widths[level + 1], 2, norm),
                *(ResidualBlock(spatial_dims, widths[level + 1], widths[level + 1], 1, norm) for _ in range(count - 1)),
            )
            for level, count in enumerate(blocks)
        ]
        super().__init__([stem, *layers])
