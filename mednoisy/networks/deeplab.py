"""DeepLabV3 and DeepLabV3+ on a ResNet encoder, in 2D (as published) or 3D."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mednoisy.networks.blocks import convolution
from mednoisy.networks.encoders import RESNETS, ImageNetEncoder, check_norm_has_values

WIDTH = 256  # channels of the pyramid and of all that follows it
LOW_LEVEL_WIDTH = 48  # channels to which DeepLabV3+ reduces the encoder's map at stride 4
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}  # Chen et al. 2017, section 3.3


class DeepLabV3(nn.Module):
    """Logits from a dilated ResNet and atrous spatial pyramid pooling (Chen et al. 2017, arXiv:1706.05587).

    The head is torchvision's: a convolution of kernel 3 behind the pyramid, then the logits at the encoder's stride,
    interpolated linearly to the image's size (corners not aligned, so that a flipped image has flipped logits). Any
    size will do. Outside the encoder PyTorch's own initialisation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        encoder: "resnet18", "resnet34" or "resnet50".
        output_stride: 8 or 16: the image's size over that of the encoder's last map.
        rates: dilations of the pyramid's branches; by default 6, 12 and 18 at output stride 16, doubled at 8.
        dropout: probability with which single values behind the pyramid are zeroed in training.
        norm: "batch" or "instance" (no parameters, no running statistics).

    Attributes:
        output_stride: as given.
    """

    separable = False  # the pyramid's dilated convolutions

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        num_classes: int = 2,
        encoder: str = "resnet34",
        output_stride: int = 16,
        rates: Sequence[int] | None = None,
        dropout: float = 0.5,
        norm: str = "batch",
    ):
        super().__init__()
        _check_choices(encoder, output_stride)
        self.output_stride, self.norm = output_stride, norm
        self.encoder = ImageNetEncoder(spatial_dims, in_channels, encoder, norm, output_stride)
        self.pyramid = AtrousPyramid(
            spatial_dims,
            self.encoder.channels[-1],
            rates or RATES[output_stride],
            dropout,
            norm,
            separable=self.separable,
        )
        self._add_head(spatial_dims, num_classes)

    def _add_head(self, spatial_dims: int, num_classes: int) -> None:
        self.head: nn.Module = nn.Sequential(
            _convolution(spatial_dims, WIDTH, WIDTH, 3, self.norm), convolution(spatial_dims, WIDTH, num_classes, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a norm would see a single value a channel."""
        return _resized(self.coarse_logits(image), image)

    def coarse_logits(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to the logits before they are interpolated, here at the encoder's stride."""
        check_norm_has_values(image, self.output_stride, self.norm, self.training)
        return self.head(self.pyramid(self.encoder(image)[-1]))


class DeepLabV3Plus(DeepLabV3):
    """Logits from DeepLabV3's pyramid refined by the encoder's map at stride 4 (Chen et al. 2018, arXiv:1802.02611).

    That map is reduced to 48 channels and put behind the pyramid's; two convolutions of kernel 3 follow, then the
    logits at stride 4, interpolated as in `DeepLabV3`. These two and the pyramid's dilated ones are separable, as the
    paper ends up with: each channel by itself, then a 1x1 convolution, then norm and ReLU (the paper has norm and
    ReLU in between too). With the defaults and one class 22,437,457 parameters.

    Arguments as of `DeepLabV3`.
    """

    separable = True

    def _add_head(self, spatial_dims: int, num_classes: int) -> None:
        self.low_level = _convolution(spatial_dims, self.encoder.channels[1], LOW_LEVEL_WIDTH, 1, self.norm)
        self.refine = nn.Sequential(
            _separable(spatial_dims, WIDTH + LOW_LEVEL_WIDTH, WIDTH, 1, self.norm),
            _separable(spatial_dims, WIDTH, WIDTH, 1, self.norm),
        )
        self.head = convolution(spatial_dims, WIDTH, num_classes, 1)

    def coarse_logits(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to the logits before they are interpolated, at stride 4."""
        check_norm_has_values(image, self.output_stride, self.norm, self.training)
        maps = self.encoder(image)
        low_level = self.low_level(maps[1])
        deep = _resized(self.pyramid(maps[-1]), low_level)
        return self.head(self.refine(torch.cat([deep, low_level], dim=1)))


class AtrousPyramid(nn.Module):
    """256 channels that see the same map at several dilations and as a whole (Chen et al. 2017, section 3.3).

    Branches of 256 channels each: a 1x1 convolution, one of kernel 3 for each rate, and the mean over space, spread
    again; joined by a 1x1 convolution and dropout. Each convolution has norm and ReLU behind it. Departure: the
    branch of the mean has group norm (32 groups, as many parameters), because batch norm cannot train there with one
    image and knows only plus or minus one with two.

    Args:
        spatial_dims: 2 or 3.
        inputs: channels of the map.
        rates: dilations of the branches of kernel 3.
        dropout: probability with which single values of the result are zeroed in training.
        norm: "batch" or "instance".
        separable: whether the dilated convolutions are separable.
    """

    def __init__(
        self, spatial_dims: int, inputs: int, rates: Sequence[int], dropout: float, norm: str, *, separable: bool
    ):
        super().__init__()
        branches: list[nn.Module] = [_convolution(spatial_dims, inputs, WIDTH, 1, norm)]
        for rate in rates:
            if separable:
                branches.append(_separable(spatial_dims, inputs, WIDTH, rate, norm))
            else:
                branches.append(_convolution(spatial_dims, inputs, WIDTH, 3, norm, dilation=rate))
        self.branches = nn.ModuleList(branches)
        self.whole = _convolution(spatial_dims, inputs, WIDTH, 1, ("group", {"num_groups": 32}))
        joined = _convolution(spatial_dims, (len(branches) + 1) * WIDTH, WIDTH, 1, norm)
        self.join = nn.Sequential(joined, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) to (B, 256, *spatial)."""
        maps: list[Tensor] = []
        for branch in self.branches:
            maps.append(branch(x))
        mean = x.mean(dim=list(range(2, x.dim())), keepdim=True)
        maps.append(self.whole(mean).expand_as(maps[0]))
        return self.join(torch.cat(maps, dim=1))


def _convolution(
    spatial_dims: int, inputs: int, outputs: int, kernel: int, norm: str | tuple, *, dilation: int = 1
) -> nn.Module:
    """Convolution without bias that keeps the size, norm, ReLU."""
    return Convolution(
        spatial_dims,
        inputs,
        outputs,
        kernel_size=kernel,
        dilation=dilation,
        bias=False,
        adn_ordering="NA",
        norm=norm,
        act=("relu", {"inplace": True}),
    )


def _separable(spatial_dims: int, inputs: int, outputs: int, dilation: int, norm: str) -> nn.Sequential:
    each_channel = Convolution(
        spatial_dims, inputs, inputs, kernel_size=3, dilation=dilation, groups=inputs, bias=False, conv_only=True
    )
    return nn.Sequential(each_channel, _convolution(spatial_dims, inputs, outputs, 1, norm))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    mode = "bilinear" if x.dim() == 4 else "trilinear"
    return interpolate(x, size=list(like.shape[2:]), mode=mode, align_corners=False)


def _check_choices(encoder: str, output_stride: int) -> None:
    if encoder not in RESNETS:
        raise ValueError(f"encoder is {encoder!r}; DeepLab needs one that can be dilated: {', '.join(RESNETS)}")
    if output_stride not in RATES:
        raise ValueError(f"output_stride is {output_stride}; it must be 8 or 16")
