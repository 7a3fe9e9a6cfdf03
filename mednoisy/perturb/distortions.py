"""Distortions of pictures: moving camera, median of neighbours, contrast equalised place by place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mednoisy.perturb.host_values import on_device, per_image

_LEVELS = 256  # of brightness, as in 8-bit pictures


def motion_blurred(images: Tensor, lengths: Sequence[int] | np.ndarray, angles: Sequence[float] | np.ndarray) -> Tensor:
    """Images averaged along a line each, as if the camera had moved while it was taken; the border is repeated.

    Args:
        images: (B, C, H, W) of floats.
        lengths: B numbers of pixels of the line, odd; 1 changes nothing.
        angles: B angles, radians from the last axis.

    Examples:
        >>> motion_blurred(torch.tensor([[[[0.0, 0.0, 3.0, 0.0, 0.0]]]]), [3], [0])
        tensor([[[[0., 1., 1., 1., 0.]]]])
    """
    for length in lengths:
        if length % 2 == 0:
            raise ValueError(f"length is {length}; the line needs a pixel in its middle, so an odd number")
    reach = int(max(lengths)) // 2
    lines = [np.pad(_line(int(n), angle), reach - int(n) // 2) for n, angle in zip(lengths, angles, strict=True)]
    kernels = on_device(np.stack(lines), images.device, images.dtype).repeat_interleave(images.shape[1], dim=0)
    padded = functional.pad(images, [reach] * 4, mode="replicate").flatten(0, 1)
    return functional.conv2d(padded[None], kernels.unsqueeze(1), groups=len(kernels))[0].reshape(images.shape)


def median_of_neighbours(images: Tensor) -> Tensor:
    """Images of medians over 3x3 pixels; the border is repeated outwards.

    Args:
        images: (B, C, H, W) of floats.

    Examples:
        >>> median_of_neighbours(torch.tensor([[[[1.0, 1.0, 1.0], [1.0, 9.0, 1.0], [1.0, 1.0, 1.0]]]]))
        tensor([[[[1., 1., 1.],
                  [1., 1., 1.],
                  [1., 1., 1.]]]])
    """
    padded = functional.pad(images, [1] * 4, mode="replicate")
    # Of nine values in sorted columns it is the median of three: the largest of the lowest, the middle of the middle
    # and the smallest of the highest. Columns are sorted once for three pixels: 20 times as fast as sorting windows.
    low, middle, high = (
        (sides[..., :-2], sides[..., 1:-1], sides[..., 2:])
        for sides in _in_order(padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :])
    )
    return _in_order(_in_order(*low)[2], _in_order(*middle)[1], _in_order(*high)[0])[1]


def equalised_locally(images: Tensor, clips: Sequence[float] | np.ndarray, tiles: int = 8) -> Tensor:
    """Images whose brightness is spread evenly over its range around each place (CLAHE).

    Brightness is the largest channel of a pixel (HSV's value), between the image's lowest and highest value; the other
    channels are scaled alike, so hue and saturation stay.

    Args:
        images: (B, C, H, W) of floats in any unit.
        clips: for each image, how often a level may count, in multiples of the mean over 256 levels; what is above goes
            to all alike. 1 nearly keeps the image, more than 256 limits nothing.
        tiles: along each axis; each has a histogram, and pixels between the centres of tiles get a weighted mean.

    Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994. Tiles may differ by a
    pixel in size, where others pad the image.

    Examples:
        In one tile without a limit the four values of a row become the shares of values up to them; black stays black:

        >>> equalised_locally(torch.tensor([[[[0.0, 1.0, 2.0, 10.0]]]]), clips=[256], tiles=1)
        tensor([[[[ 0.0000,  5.0000,  7.5000, 10.0000]]]])
    """
    lowest = images.amin((1, 2, 3), keepdim=True)
    span = (images.amax((1, 2, 3), keepdim=True) - lowest).clamp(min=torch.finfo(images.dtype).tiny)
    unit = (images - lowest) / span
    value = unit.amax(dim=1)
    levels = (value * (_LEVELS - 1)).round().long()
    down, across = (min(tiles, side) for side in value.shape[1:])
    curves = _tone_curves(levels, down, across, per_image(np.asarray(clips), value)).flatten(1)
    (above, below, lower), (left, right, further) = (
        _between_tiles(side, count, images.device) for side, count in zip(value.shape[1:], (down, across), strict=True)
    )

    def equalised(rows: Tensor, columns: Tensor) -> Tensor:
        place = (rows[:, None] * across + columns) * _LEVELS + levels
        return curves.gather(1, place.flatten(1)).reshape(value.shape)

    upper_row = torch.lerp(equalised(above, left), equalised(above, right), further)
    lower_row = torch.lerp(equalised(below, left), equalised(below, right), further)
    changed = torch.lerp(upper_row, lower_row, lower[:, None]).to(images.dtype)
    return lowest + unit * (changed / value.clamp(min=1 / _LEVELS)).unsqueeze(1) * span


def _in_order(first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest, middle and highest of three, place by place."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return torch.minimum(low, third), torch.maximum(low, torch.minimum(high, third)), torch.maximum(high, third)


def _line(length: int, angle: float) -> np.ndarray:
    """(length, length): shares of a line of `length` points through the middle; each falls on its four neighbours."""
    reach = length // 2
    kernel = np.zeros((length + 1, length + 1))
    for step in range(-reach, reach + 1):
        place = reach + step * math.sin(angle), reach + step * math.cos(angle)
        (row, down), (column, across) = ((math.floor(p), p - math.floor(p)) for p in place)
        for rows, share in ((row, 1 - down), (row + 1, down)):
            kernel[rows, column] += share * (1 - across)
            kernel[rows, column + 1] += share * across
    return kernel[:length, :length] / kernel[:length, :length].sum()


def _between_tiles(side: int, tiles: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place along an axis: the tiles whose centres lie before and behind it, and the share of the latter."""
    position = (torch.arange(side, device=device).add(0.5) * tiles / side - 0.5).clamp(0, tiles - 1)
    before = position.floor().long()
    return before, (before + 1).clamp(max=tiles - 1), position - before


def _tone_curves(levels: Tensor, down: int, across: int, clips: Tensor) -> Tensor:
    """(B, down * across, levels): the brightness in 0..1 that each tile gives each level of the images `levels`.

    Args:
        levels: (B, H, W).
        clips: (B, 1, 1).
    """
    rows, columns = (
        torch.arange(side, device=levels.device) * tiles // side
        for side, tiles in zip(levels.shape[1:], (down, across), strict=True)
    )
    tile = rows[:, None] * across + columns
    places = (tile * _LEVELS + levels).flatten(1)
    counts = clips.new_zeros(len(levels), down * across * _LEVELS)  # whole numbers, whose order of adding is no matter
    counts.scatter_add_(1, places, torch.ones_like(places, dtype=counts.dtype))
    shares = counts.reshape(len(levels), down * across, _LEVELS)
    shares = shares / shares.sum(dim=-1, keepdim=True)
    kept = torch.minimum(shares, clips / _LEVELS)
    return (kept + (1 - kept.sum(dim=-1, keepdim=True)) / _LEVELS).cumsum(dim=-1)
