"""Parts that the networks share: normalised convolutions and the residual encoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from mednoisy.errors import check_whole
from mednoisy.networks.single_crop import Conv3d

Stride = int | Sequence[int]  # of all axes, or one an axis


def strides_down(spatial_dims: int, count: int, strides: Sequence[Stride] | None) -> list[tuple[int, ...]]:
    """How much coarser each of `count` levels is than the one above it, along each axis.

    Args:
        strides: one for each level below the first, a number for all axes or one an axis; None for 2 everywhere.

    Raises:
        ValueError: another number of them, another number of axes, or one below 1.
    """
    given = [2] * count if strides is None else list(strides)
    if len(given) != count:
        raise ValueError(f"{len(given)} strides for {count + 1} levels; there must be one less")
    levels = [(stride,) * spatial_dims if isinstance(stride, int) else tuple(stride) for stride in given]
    for level in levels:
        if len(level) != spatial_dims:
            raise ValueError(f"stride {list(level)} for {spatial_dims} axes; there must be one an axis")
        for stride in level:
            check_whole("a network's stride", stride, least=1)
    return levels


def axis_divisors(spatial_dims: int, strides: Sequence[tuple[int, ...]]) -> list[int]:
    """What the size of each axis must be a multiple of, from the strides of all levels."""
    return [math.prod(level[axis] for level in strides) for axis in range(spatial_dims)]


def divisor_of(divisors: Sequence[int]) -> int | tuple[int, ...]:
    """What every spatial size must be a multiple of: one number, or one an axis where axes differ."""
    return divisors[0] if len(set(divisors)) == 1 else tuple(divisors)


def check_divisible(image: Tensor, divisors: list[int]) -> None:
    """Raise ValueError unless each spatial axis of `image`, (B, C, *spatial), is a multiple of its divisor."""
    sizes = list(image.shape[2:])
    for axis, size in enumerate(sizes):
        if size % divisors[axis] != 0:
            if min(divisors) == max(divisors):
                raise ValueError(
                    f"The network's input has size {sizes}; every axis must be a multiple of {divisors[0]}."
                )
            raise ValueError(f"The network's input has size {sizes}; its axes must be multiples of {divisors}.")


def convolution(
    spatial_dims: int, inputs: int, outputs: int, kernel: Stride, *, stride: Stride = 1, bias: bool = True
) -> nn.Module:
    """A convolution with the padding that keeps the size (for an even kernel, as large as its stride: none)."""
    check_whole("a network's number of channels", outputs, least=1)
    layer: Any = Conv3d if spatial_dims == 3 else Conv[Conv.CONV, spatial_dims]
    padding = (kernel - 1) // 2 if isinstance(kernel, int) else tuple((side - 1) // 2 for side in kernel)
    module: nn.Module = layer(inputs, outputs, kernel, stride=stride, padding=padding, bias=bias)
    return module


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

    def __init__(self, spatial_dims: int, inputs: int, outputs: int, stride: Stride, norm: str):
        super().__init__()
        self.residual = nn.Sequential(
            convolution(spatial_dims, inputs, outputs, 3, stride=stride, bias=False),
            normalisation(spatial_dims, outputs, norm),
            nn.ReLU(inplace=True),
            convolution(spatial_dims, outputs, outputs, 3, bias=False),
            normalisation(spatial_dims, outputs, norm),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or (stride != 1 if isinstance(stride, int) else set(stride) != {1}):
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
        strides: of each layer below the stem, see `strides_down`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        stem_kernel: int,
        norm: str,
        strides: Sequence[Stride] | None = None,
    ):
        if stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel is {stem_kernel}; it must be odd to keep the size")
        if len(widths) != len(blocks) + 1:
            raise ValueError(f"{len(widths)} widths for {len(blocks)} residual layers; there must be one more width")
        down = strides_down(spatial_dims, len(blocks), strides)
        stem = nn.Sequential(
            convolution(spatial_dims, in_channels, widths[0], stem_kernel, bias=False),
            normalisation(spatial_dims, widths[0], norm),
            nn.ReLU(inplace=True),
        )
        layers = [
            nn.Sequential(
                ResidualBlock(spatial_dims, widths[level], widths[level + 1], down[level], norm),
                *(ResidualBlock(spatial_dims, widths[level + 1], widths[level + 1], 1, norm) for _ in range(count - 1)),
            )
            for level, count in enumerate(blocks)
        ]
        super().__init__([stem, *layers])
