"""ImageNet weights from a local file of torchvision or timm, read into an encoder; nothing is ever downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mednoisy.errors import UserError
from mednoisy.networks.encoders import ENCODERS, ImageNetEncoder
from mednoisy.networks.weight_files import read_state_dict

_CLASSIFIER = re.compile(r"(fc|classifier)\.(weight|bias)$")
_OWN_LEVEL = re.compile(r"^levels\.\d+\.")  # what ImageNetEncoder puts before MONAI's names
_DENSE_LAYER = re.compile(r"(\.denselayer\d+)\.(norm|conv)\.?([12])\.")  # torchvision's files of 2017 say `norm.1`
_STEMS = ("conv1.weight", "conv0.weight")
_COUNTER = "num_batches_tracked"  # older files lack it, and nothing here depends on it


@dataclass(frozen=True)
class Pretrained:
    """What `load_pretrained` did.

    Attributes:
        encoder: name of the encoder.
        entries: entries of the file that the encoder took over.
        classifier: entries of the file's classifier, left out.
        colours_summed: whether the first convolution was summed over colours, for images of one channel.
    """

    encoder: str
    entries: int
    classifier: int
    colours_summed: bool

    def __str__(self) -> str:
        summed = ", the first convolution summed over colours" if self.colours_summed else ""
        return f"{self.encoder}: {self.entries} entries read, {self.classifier} of the classifier left out{summed}"


def load_pretrained(network: nn.Module, file: Path | str) -> Pretrained:
    """Copy ImageNet weights into the encoder of `network` and report what was taken.

    Reads a state dict saved by torch.save, bare or under `net` or `state_dict`, with or without the prefix `module.`,
    whose keys are those of torchvision or timm for the encoder's architecture (torchvision's old names of DenseNet
    layers too). Every entry but the classifier's must find its place and every place its entry; batch counters may be
    absent. `network` is changed only if everything matched.

    A grey image (one channel) gets the first convolution summed over colours, which is what the file's network
    computes from the same grey in all three. The weights expect each colour in 0..1, less (.485, .456, .406), over
    (.229, .224, .225).

    Args:
        network: an `ImageNetEncoder`, or a network that has one as its attribute `encoder`.
        file: the weights.

    Raises:
        UserError: E340 the file is missing, truncated or unreadable, E341 it holds no state dict, E343 the network
            has no place for ImageNet weights, E344 the file does not match.
    """
    encoder = _encoder_for_imagenet(network)
    released = read_state_dict(Path(file), "Give the weights of a classifier as torchvision or timm release them")
    entries = {key.removeprefix("module."): value for key, value in released.items()}
    kept = {_monai_name(key): value for key, value in entries.items() if not _CLASSIFIER.match(key)}
    own = {_OWN_LEVEL.sub("", key): value for key, value in encoder.state_dict().items()}
    summed = False
    for stem in _STEMS:
        if encoder.in_channels == 1 and stem in kept and kept[stem].ndim == 4 and kept[stem].shape[1] == 3:
            kept[stem], summed = kept[stem].sum(dim=1, keepdim=True), True
    faults = _faults(kept, own)
    if faults:
        raise UserError(
            "E344",
            f"weights {file} do not fit the encoder {encoder.name}: {'; '.join(faults)}",
            f"Give a file of torchvision or timm for {encoder.name} and keep the network's norm 'batch'",
        )
    encoder.load_state_dict(dict(zip(encoder.state_dict(), (own | kept).values(), strict=True)))
    return Pretrained(encoder.name, len(kept), len(entries) - len(kept), summed)


def load_pretrained_where_it_fits(networks: Iterable[nn.Module], file: Path | str) -> list[Pretrained]:
    """`load_pretrained` for each network that has an `ImageNetEncoder`; others keep the weights they have.

    Raises:
        UserError: as `load_pretrained`; E343 also if none has such an encoder.
    """
    networks = list(networks)
    fitting = [network for network in networks if isinstance(getattr(network, "encoder", None), ImageNetEncoder)]
    return [load_pretrained(network, file) for network in fitting or networks]


def _encoder_for_imagenet(network: nn.Module) -> ImageNetEncoder:
    encoder = network if isinstance(network, ImageNetEncoder) else getattr(network, "encoder", None)
    if not isinstance(encoder, ImageNetEncoder):
        cause = f"{type(network).__name__} has no encoder that ImageNet weights exist for"
        raise UserError("E343", cause, f"Take DeepLabV3, DeepLabV3Plus or FPN, with one of {', '.join(ENCODERS)}")
    if encoder.spatial_dims != 2:
        cause = f"ImageNet weights are for images in 2D, the network is in {encoder.spatial_dims}D"
        raise UserError("E343", cause, "Train it without them, or take the network with spatial_dims 2")
    if encoder.in_channels not in (1, 3):
        cause = f"ImageNet weights are for 3 channels or 1, the network takes {encoder.in_channels}"
        raise UserError("E343", cause, "Train it without them, or give it images of 3 channels or 1")
    return encoder


def _monai_name(key: str) -> str:
    return _DENSE_LAYER.sub(r"\1.layers.\2\3.", key.removeprefix("features."))


def _faults(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What keeps `given` from filling `wanted`: entries that are missing, foreign or of another shape."""
    missing = [key for key in wanted if key not in given and not key.endswith(_COUNTER)]
    foreign = [key for key in given if key not in wanted]
    misshapen = [
        f"{key} {list(given[key].shape)} for {list(value.shape)}"
        for key, value in wanted.items()
        if key in given and given[key].shape != value.shape
    ]
    return [
        f"{len(keys)} of {total} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, total, what in (
            (missing, len(wanted), "needed entries are missing"),
            (foreign, len(given), "entries of the file have no place"),
            (misshapen, len(wanted), "entries have another shape"),
        )
        if keys
    ]
