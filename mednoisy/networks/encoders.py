"""ResNets and DenseNets as torchvision has them, in 2D or 3D, so that weights trained on ImageNet fit."""

from __future__ import annotations

from collections import OrderedDict

from monai.networks.layers.factories import Pool
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.resnet import ResNet
from monai.networks.utils import replace_modules
from torch import Tensor, nn

from mednoisy.networks.blocks import Encoder, normalisation

RESNETS = {  # block, and blocks of each layer (He et al. 2016, table 1)
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}
RESNET_WIDTHS = (64, 128, 256, 512)
DENSENETS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32)}  # Huang et al. 2017, table 1
ENCODERS = (*RESNETS, *DENSENETS)


class ImageNetEncoder(Encoder):
    """Feature maps at strides 2, 4, 8, 16 and 32 from a network that ImageNet weights exist for.

    MONAI's layers with the stem of torchvision: a convolution of kernel 7 and stride 2, then a max pool. The modules
    keep MONAI's names inside `levels`, so `load_pretrained` finds them. A DenseNet's map is taken where its transition
    is about to halve it, after norm and ReLU; its last map ends with the norm (as in segmentation_models_pytorch).
    Departure: an odd size is halved upwards in a DenseNet too, so that any size will do and no border is lost.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        name: one of `ENCODERS`.
        norm: "batch" or "instance" (no parameters, no running statistics).
        output_stride: 8, 16 or 32 for a ResNet, 32 for a DenseNet. Maps beyond 8 or 16 stay at that stride: their
            layers give up the stride for dilation, and each value at a position that the strided network has is the
            one that it has there (Chen et al. 2017, section 3.1).

    Attributes:
        channels: channels of each map.
    """

    def __init__(self, spatial_dims: int, in_channels: int, name: str, norm: str = "batch", output_stride: int = 32):
        if name not in ENCODERS:
            raise ValueError(f"encoder is {name!r}; it must be one of {', '.join(ENCODERS)}")
        allowed = (8, 16, 32) if name in RESNETS else (32,)
        if output_stride not in allowed:
            raise ValueError(f"output_stride is {output_stride}; for {name} it must be in {allowed}")
        if name in RESNETS:
            super().__init__(_resnet_levels(spatial_dims, in_channels, name, norm, output_stride))
        else:
            super().__init__(_densenet_levels(spatial_dims, in_channels, name, norm))
        self.channels = _channels(name)
        self.name, self.spatial_dims, self.in_channels = name, spatial_dims, in_channels


def check_norm_has_values(image: Tensor, stride: int, norm: str, training: bool) -> None:
    """Raise ValueError if a norm would see a single value a channel in the map at `stride`, and so have no spread.

    Args:
        image: (B, C, *spatial).
        stride: of the coarsest map; its sizes are the image's divided by it, rounded up.
        norm: "batch" (concerned in training only, over batch and space) or "instance" (over space).
    """
    sizes = list(image.shape[2:])
    values = 1 if norm == "instance" else image.shape[0]
    for size in sizes:
        values *= -(-size // stride)
    if values == 1 and (training or norm == "instance"):
        raise ValueError(
            f"The network's input has size {sizes}; {norm} norm would see one value a channel at stride {stride}. "
            f"Give an axis of more than {stride}."
        )


def _channels(name: str) -> list[int]:
    if name in RESNETS:
        expansion = 4 if RESNETS[name][0] == "bottleneck" else 1
        return [64, *(width * expansion for width in RESNET_WIDTHS)]
    channels, width = [64], 64
    for layers in DENSENETS[name]:
        channels.append(width + 32 * layers)  # each layer of a block adds 32
        width = channels[-1] // 2  # what the transition leaves
    return channels


def _resnet_levels(spatial_dims: int, in_channels: int, name: str, norm: str, output_stride: int) -> list[nn.Module]:
    block, blocks = RESNETS[name]
    network = ResNet(
        block,
        list(blocks),
        list(RESNET_WIDTHS),
        spatial_dims=spatial_dims,
        n_input_channels=in_channels,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
    )
    if norm != "batch":  # the argument `norm` of MONAI's ResNet reaches the stem only (1.6.1)
        batch_norms = [(key, part) for key, part in network.named_modules() if isinstance(part, type(network.bn1))]
        for key, part in batch_norms:
            replace_modules(network, key, normalisation(spatial_dims, part.num_features, norm))
    for layer, stride in ((network.layer3, 16), (network.layer4, 32)):
        if stride > output_stride:
            _dilate(layer, stride // output_stride)
    levels = (("conv1", "bn1", "act"), ("maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",))
    return [nn.Sequential(OrderedDict((part, getattr(network, part)) for part in parts)) for parts in levels]


def _dilate(layer: nn.Sequential, dilation: int) -> None:
    """Take the stride 2 out of a ResNet's layer and spread its convolutions instead."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            # The convolution that had the stride still looks at the grid of the layer before.
            rate = dilation // 2 if max(module.stride) > 1 else dilation
            module.stride = tuple(1 for _ in module.kernel_size)
            module.dilation = tuple(rate for _ in module.kernel_size)
            module.padding = tuple(rate * (side // 2) for side in module.kernel_size)


def _densenet_levels(spatial_dims: int, in_channels: int, name: str, norm: str) -> list[nn.Module]:
    normalisation(spatial_dims, 1, norm)  # refuses an unknown kind
    features = DenseNet(spatial_dims, in_channels, out_channels=1, block_config=DENSENETS[name], norm=norm).features
    parts = OrderedDict(features.named_children())
    levels = [
        OrderedDict((part, parts[part]) for part in ("conv0", "norm0", "relu0")),
        OrderedDict(pool0=parts["pool0"]),
    ]
    for number in range(1, len(DENSENETS[name])):
        block, name_of_transition = f"denseblock{number}", f"transition{number}"
        transition = dict(parts[name_of_transition].named_children())
        before = OrderedDict((part, transition[part]) for part in ("norm", "relu"))
        halving = OrderedDict(conv=transition["conv"], pool=Pool[Pool.AVG, spatial_dims](2, ceil_mode=True))
        levels[-1].update({block: parts[block], name_of_transition: nn.Sequential(before)})
        levels.append(OrderedDict({name_of_transition: nn.Sequential(halving)}))
    last = len(DENSENETS[name])
    levels[-1].update({f"denseblock{last}": parts[f"denseblock{last}"], "norm5": parts["norm5"]})
    return [nn.Sequential(level) for level in levels]
