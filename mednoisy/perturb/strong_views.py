"""Strong views: jitter of intensities and colours, blur, and dropped feature channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.data.image import LUMA
from mednoisy.perturb.host_values import on_device, per_image

_REACH = 3  # standard deviations after which a Gaussian is cut
_SHARPEST = 0.05  # voxels; narrower Gaussians leave an image as it is


@dataclass(frozen=True)
class AppearanceChange:
    """What is done to each image of a batch; every field has one value per image.

    Attributes:
        brightness, contrast, saturation: factors, 1 changes nothing.
        hue: turn of the colour circle, in turns, 0 changes nothing.
        sigma: standard deviation of the blur in voxels, 0 for none.

    Examples:
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> darker = AppearanceChange(brightness=one / 2, contrast=one, saturation=one, hue=zero, sigma=zero)
        >>> appearance_changed(torch.tensor([[[0.0, 2.0, 4.0]]]), darker)
        tensor([[[0., 1., 2.]]])
    """

    brightness: np.ndarray
    contrast: np.ndarray
    saturation: np.ndarray
    hue: np.ndarray
    sigma: np.ndarray


@dataclass(frozen=True)
class StrongView:
    """Draws and applies a look: with p = `jitter` a colour jitter, then with p = `blur` a Gaussian blur.

    Each factor is 1 + U(-x, x) with x the attribute of its name, the hue turns by U(-hue, hue).

    Attributes:
        jitter: probability of the jitter.
        brightness, contrast, saturation: largest change of the factor, in 0..1.
        hue: largest turn, in 0..0.5.
        blur: probability of the blur.
        sigma: smallest and largest standard deviation in voxels.

    Source: UniMatch's medical code (Yang et al. 2023). There the four changes come in random order on 8-bit images;
    here in the order named, without rounding.

    Examples:
        >>> looks = StrongView(jitter=1, brightness=0.5).draw(1000, np.random.default_rng(0))
        >>> round(looks.brightness.min(), 1), round(looks.brightness.max(), 1)
        (np.float64(0.5), np.float64(1.5))
    """

    jitter: float = 0.8
    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.25
    blur: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        limits = {"jitter": 1, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "blur": 1}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in 0..{limit}")
        if not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma is {self.sigma}; it must rise from 0 or more")

    def __call__(self, images: Tensor, generator: np.random.Generator) -> Tensor:
        """A strong view of each image, see `appearance_changed`."""
        return appearance_changed(images, self.draw(len(images), generator))

    def draw(self, count: int, generator: np.random.Generator) -> AppearanceChange:
        """The looks of `count` images."""
        jittered = generator.random(count) < self.jitter
        changes = {
            name: generator.uniform(-getattr(self, name), getattr(self, name), count) * jittered
            for name in ("brightness", "contrast", "saturation", "hue")
        }
        blurred = generator.random(count) < self.blur
        hue = changes.pop("hue")
        sigma = generator.uniform(*self.sigma, count) * blurred
        return AppearanceChange(**{name: 1 + change for name, change in changes.items()}, hue=hue, sigma=sigma)


def appearance_changed(images: Tensor, look: AppearanceChange) -> Tensor:
    """Images under another look; without gradient, the inputs stay as they are.

    Jitter acts between the lowest and the highest value of each image, all channels together, as on the range from
    black to white, and stays in it. Saturation and hue act on 2D images of three channels, taken as red, green, blue;
    images that were standardised channel by channel get them approximately.

    Args:
        images: (B, C, *S), any number of channels and spatial axes.
        look: B looks.

    Examples:
        Less contrast brings values nearer to their mean:

        >>> one, zero = np.ones(1), np.zeros(1)
        >>> flatter = AppearanceChange(brightness=one, contrast=one / 2, saturation=one, hue=zero, sigma=zero)
        >>> appearance_changed(torch.tensor([[[0.0, 2.0, 4.0]]]), flatter)
        tensor([[[1., 2., 3.]]])
    """
    differs = np.stack([look.brightness != 1, look.contrast != 1, look.saturation != 1, look.hue != 0])
    changed = images.detach().clone()
    if len(rows := np.flatnonzero(differs.any(axis=0))):
        where = on_device(rows, images.device)
        changed.index_copy_(0, where, _jittered(changed.index_select(0, where), look, rows))
    if len(rows := np.flatnonzero(look.sigma)):
        where = on_device(rows, images.device)
        changed.index_copy_(0, where, blurred(changed.index_select(0, where), look.sigma[rows]))
    return changed


def blurred(images: Tensor, sigmas: Sequence[float] | np.ndarray) -> Tensor:
    """Images after a Gaussian of another width for each; the border is repeated outwards.

    Args:
        images: (B, C, *S).
        sigmas: standard deviations in voxels, (B,) alike along all axes, or (B, D); Gaussians are cut after three.

    Examples:
        >>> point = torch.tensor([[[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]])
        >>> [round(value, 2) for value in blurred(point, [1.0]).flatten().tolist()]  # exp(-x^2 / 2) / 2.506
        [0.0, 0.05, 0.24, 0.4, 0.24, 0.05, 0.0]
    """
    widths = np.broadcast_to(
        np.asarray(sigmas, dtype=np.float64).reshape(len(images), -1).T, (images.ndim - 2, len(images))
    )
    # One product with a banded matrix per axis: faster than convolutions of single channels, and of any width each.
    with torch.autocast(images.device.type, enabled=False):
        for axis, own in enumerate(widths, start=2):
            last = images.movedim(axis, -1)
            matrix = _gaussian_matrix(own, last.shape[-1], images)
            product = torch.bmm(last.reshape(len(images), -1, last.shape[-1]), matrix.transpose(1, 2))
            images = product.reshape(last.shape).movedim(-1, axis)
    return images


def drop_channels(features: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """Feature maps in which each channel is zero with `probability` and else divided by 1 - `probability`.

    Args:
        features: (B, C, *S); gradients flow through.
        generator: on their device.
        probability: in [0, 1).

    Examples:
        >>> drop_channels(torch.ones(1, 100, 1), torch.Generator().manual_seed(0)).unique()
        tensor([0., 2.])
    """
    shape = (*features.shape[:2], *(1 for _ in features.shape[2:]))
    drawn = torch.rand(shape, generator=generator, device=features.device)
    return features * ((drawn >= probability).to(features.dtype) / (1 - probability))


def _jittered(images: Tensor, look: AppearanceChange, rows: np.ndarray) -> Tensor:
    """The colour jitter of those `rows` of a batch that are `images`."""
    dimensions = tuple(range(1, images.ndim))
    lowest = images.amin(dimensions, keepdim=True)
    span = (images.amax(dimensions, keepdim=True) - lowest).clamp(min=torch.finfo(images.dtype).tiny)

    def own(values: np.ndarray) -> Tensor:
        return per_image(values[rows], images)

    unit = ((images - lowest) / span * own(look.brightness)).clamp(0, 1)
    mean = grey(unit).mean(dimensions, keepdim=True)
    unit = torch.lerp(mean, unit, own(look.contrast)).clamp(0, 1)
    if _coloured(unit):
        unit = torch.lerp(grey(unit), unit, own(look.saturation)).clamp(0, 1)
        unit = _hue_turned(unit, own(look.hue))
    return lowest + unit * span


def _coloured(images: Tensor) -> bool:
    return images.ndim == 4 and images.shape[1] == 3


def grey(images: Tensor) -> Tensor:
    """(B, C, *S) to (B, 1, *S): the luma of colours, else the mean of all channels.

    Source: ITU-R BT.601, 2.5.1, for the shares of red, green and blue.

    Examples:
        >>> grey(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)).squeeze()  # red
        tensor(0.2990)
    """
    if not _coloured(images):
        return images.mean(dim=1, keepdim=True)
    red, green, blue = (share * channel for share, channel in zip(LUMA, images.split(1, dim=1), strict=True))
    return red + green + blue


def _hue_turned(images: Tensor, turns: Tensor) -> Tensor:
    """Colours in 0..1 with their hue turned, value and saturation (of HSV) kept."""
    value, brightest = images.max(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    sectors = torch.cat([green - blue, blue - red, red - green], dim=1) / chroma.clamp(min=1e-6)
    hue = sectors.gather(1, brightest) + 2 * brightest + 6 * turns  # in sixths of the circle; grey has no chroma
    to_channel = torch.arange(5, 0, -2, device=images.device).reshape(1, 3, 1, 1)
    position = (hue + to_channel).remainder(6)
    return value - chroma * torch.minimum(position, 4 - position).clamp(0, 1)


def _gaussian_matrix(sigmas: np.ndarray, length: int, images: Tensor) -> Tensor:
    """(B, length, length): row i holds the weights of all voxels in the blurred voxel i; rows sum to 1."""
    reaches = np.maximum(np.ceil(_REACH * sigmas), 1)
    reach = int(reaches.max())
    widths = per_image(np.maximum(sigmas, _SHARPEST), images[:, :1]).reshape(-1, 1, 1)
    distances = torch.arange(-reach, length + reach, device=images.device) - torch.arange(
        length, device=images.device
    ).unsqueeze(1)
    weights = torch.exp(-0.5 * (distances / widths).square())
    weights = weights * (distances.abs() <= per_image(reaches, images[:, :1]).reshape(-1, 1, 1))
    total = weights.sum(dim=-1, keepdim=True)
    inside = weights[:, :, reach : reach + length]
    inside[:, :, 0] += weights[:, :, :reach].sum(dim=-1)  # the border's voxels stand for all beyond them
    inside[:, :, -1] += weights[:, :, reach + length :].sum(dim=-1)
    return inside / total
