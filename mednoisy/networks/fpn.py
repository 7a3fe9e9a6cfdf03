"""Feature pyramid network for segmentation, on a DenseNet or ResNet encoder, in 2D (as published) or 3D."""

from __future__ import annotations

from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Dropout
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mednoisy.networks.blocks import convolution
from mednoisy.networks.encoders import ImageNetEncoder, check_norm_has_values

PYRAMID_WIDTH = 256  # channels of every level of the pyramid
SEGMENTATION_WIDTH = 128  # channels that each level is brought to before the levels are added
COARSEST_STRIDE = 32


class FPN(nn.Module):
    """Logits from a feature pyramid whose levels are brought to stride 4 and added (Kirillov et al. 2019, figure 3).

    The network of segmentation_models_pytorch with its defaults; with encoder "resnet34" and one class 23,155,393
    parameters. Top-down steps copy the nearest value, all other enlargements are linear with aligned corners. Where
    sizes do not halve evenly, each step enlarges to the size of the finer map, so any size will do. Outside the
    encoder PyTorch's own initialisation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        num_classes: K, background included.
        encoder: "densenet121", "densenet169", "resnet18", "resnet34" or "resnet50".
        dropout: probability with which a whole channel is zeroed before the last convolution in training.
        norm: the encoder's, "batch" or "instance" (no parameters, no running statistics); the rest has group norm.

    Attributes:
        output_stride: the image's size over that of the encoder's last map, 32.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        num_classes: int = 2,
        encoder: str = "densenet169",
        dropout: float = 0.2,
        norm: str = "batch",
    ):
        super().__init__()
        self.output_stride, self.norm = COARSEST_STRIDE, norm
        self.encoder = ImageNetEncoder(spatial_dims, in_channels, encoder, norm)
        *finer, coarsest = self.encoder.channels[1:]
        self.top = convolution(spatial_dims, coarsest, PYRAMID_WIDTH, 1)
        self.laterals = nn.ModuleList(_Lateral(spatial_dims, channels) for channels in reversed(finer))
        self.branches = nn.ModuleList(_Branch(spatial_dims, steps) for steps in reversed(range(len(finer) + 1)))
        self.head = nn.Sequential(
            Dropout[Dropout.DROPOUT, spatial_dims](dropout),
            convolution(spatial_dims, SEGMENTATION_WIDTH, num_classes, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to logits (B, K, *spatial); ValueError if a norm would see a single value a channel."""
        return _enlarged(self.coarse_logits(image), list(image.shape[2:]))

    def coarse_logits(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to the logits before they are interpolated, at stride 4."""
        check_norm_has_values(image, self.output_stride, self.norm, self.training)
        maps = self.encoder(image)
        x = self.top(maps.pop())
        pyramid, sizes = [x], [list(x.shape[2:])]
        for lateral in self.laterals:
            x = lateral(x, maps.pop())
            pyramid.append(x)
            sizes.append(list(x.shape[2:]))
        at_stride_4: list[Tensor] = []
        for level, branch in enumerate(self.branches):
            at_stride_4.append(branch(pyramid[level], sizes[level + 1 :]))
        merged = at_stride_4[0]
        for other in at_stride_4[1:]:
            merged = merged + other
        return self.head(merged)


class _Lateral(nn.Module):
    """A level of the pyramid: the encoder's map, projected, plus the coarser level."""

    def __init__(self, spatial_dims: int, channels: int):
        super().__init__()
        self.project = convolution(spatial_dims, channels, PYRAMID_WIDTH, 1)

    def forward(self, coarser: Tensor, skip: Tensor) -> Tensor:
        return self.project(skip) + interpolate(coarser, size=list(skip.shape[2:]), mode="nearest")


class _Branch(nn.Module):
    """A level at stride 4: convolution, group norm and ReLU before each of `steps` enlargements; once for none."""

    def __init__(self, spatial_dims: int, steps: int):
        super().__init__()
        widths = [PYRAMID_WIDTH] + [SEGMENTATION_WIDTH] * max(steps - 1, 0)
        self.convolutions = nn.ModuleList(
            Convolution(
                spatial_dims,
                width,
                SEGMENTATION_WIDTH,
                kernel_size=3,
                bias=False,
                adn_ordering="NA",
                norm=("group", {"num_groups": 32}),
                act=("relu", {"inplace": True}),
            )
            for width in widths
        )

    def forward(self, x: Tensor, sizes: list[list[int]]) -> Tensor:
        for step, layer in enumerate(self.convolutions):
            x = layer(x)
            if step < len(sizes):
                x = _enlarged(x, sizes[step])
        return x


def _enlarged(x: Tensor, size: list[int]) -> Tensor:
    return interpolate(x, size=size, mode="bilinear" if x.dim() == 4 else "trilinear", align_corners=True)
