"""Distortions of single images: lens, moving camera, median of neighbours, contrast equalised place by place."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 256  # of brightness, as in 8-bit pictures


def radially_distorted(image: Tensor, strength: float, mode: str = "bilinear") -> Tensor:
    """An image seen through a lens that shrinks (strength above 0) or swells (below 0) it around its centre.

    The pixel at x from the centre shows the one at x (1 + k r^2 + k r^4), x in shares of the sides and r its length:
    0.5 in the middle of an edge. Below k = -0.36 the corners fold over. What lies outside repeats the border.

    Args:
        image: (C, H, W), any type of numbers, which the result keeps.
        strength: k.
        mode: "bilinear", or "nearest" for labels.

    Source: Brown's radial model with equal coefficients, as albumentations' OpticalDistortion (by cv2) has it.

    Examples:
        A row of pixels that hold their own place shows which places are seen: 0.375 (1 - 0.2 r^2 - 0.2 r^4) at the end.

        >>> row = torch.tensor([[[-0.375, -0.125, 0.125, 0.375]]])
        >>> [round(place, 3) for place in radially_distorted(row, strength=-0.2).flatten().tolist()]
        [-0.363, -0.125, 0.125, 0.363]
    """
    if image.ndim != 3:
        raise ValueError(f"image is {tuple(image.shape)}; a lens distorts (C, H, W)")
    down, across = (torch.arange(side, dtype=torch.float32).add(0.5).div(side).sub(0.5) for side in image.shape[1:])
    squared = down[:, None] ** 2 + across**2
    factor = 2 * (1 + strength * squared + strength * squared**2)  # grid_sample counts in halves of a side
    grid = torch.stack([factor * across, factor * down[:, None]], dim=-1)
    sampled = functional.grid_sample(image[None].float(), grid[None], mode, "border", align_corners=False)
    return sampled[0].to(image.dtype)


def motion_blurred(image: Tensor, length: int, angle: float) -> Tensor:
    """An image averaged along a line, as if the camera had moved while it was taken; the border is repeated outwards.

    Args:
        image: (C, H, W) of floats.
        length: pixels of the line, odd; 1 changes nothing.
        angle: radians from the last axis.

    Examples:
        >>> motion_blurred(torch.tensor([[[0.0, 0.0, 3.0, 0.0, 0.0]]]), length=3, angle=0)
        tensor([[[0., 1., 1., 1., 0.]]])
    """
    if length % 2 == 0:
        raise ValueError(f"length is {length}; the line needs a pixel in its middle, so an odd number")
    kernel = _line(length, angle).to(image.dtype)
    padded = functional.pad(image[:, None], [length // 2] * 4, mode="replicate")
    return functional.conv2d(padded, kernel[None, None])[:, 0]


def median_of_neighbours(image: Tensor) -> Tensor:
    """An image of medians over 3x3 pixels; the border is repeated outwards.

    Args:
        image: (C, H, W) of floats.

    Examples:
        >>> median_of_neighbours(torch.tensor([[[1.0, 1.0, 1.0], [1.0, 9.0, 1.0], [1.0, 1.0, 1.0]]]))
        tensor([[[1., 1., 1.],
                 [1., 1., 1.],
                 [1., 1., 1.]]])
    """
    padded = functional.pad(image, [1] * 4, mode="replicate")
    # Of nine values in sorted columns it is the median of three: the largest of the lowest, the middle of the middle
    # and the smallest of the highest. Columns are sorted once for three pixels: 20 times as fast as sorting windows.
    low, middle, high = (
        (sides[..., :-2], sides[..., 1:-1], sides[..., 2:])
        for sides in _in_order(padded[:, :-2], padded[:, 1:-1], padded[:, 2:])
    )
    return _in_order(_in_order(*low)[2], _in_order(*middle)[1], _in_order(*high)[0])[1]


def equalised_locally(image: Tensor, clip: float, tiles: int = 8) -> Tensor:
    """An image whose brightness is spread evenly over its range around each place (CLAHE).

    Brightness is the largest channel of a pixel (HSV's value), between the image's lowest and highest value; the other
    channels are scaled alike, so hue and saturation stay.

    Args:
        image: (C, H, W) of floats in any unit.
        clip: how often a level may count, in multiples of the mean over 256 levels; what is above goes to all alike.
            1 nearly keeps the image, more than 256 limits nothing.
        tiles: along each axis; each has a histogram, and pixels between the centres of tiles get a weighted mean.

    Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994. Tiles may differ by a
    pixel in size, where others pad the image.

    Examples:
        In one tile without a limit the four values of a row become the shares of values up to them; black stays black:

        >>> equalised_locally(torch.tensor([[[0.0, 1.0, 2.0, 10.0]]]), clip=256, tiles=1)
        tensor([[[ 0.0000,  5.0000,  7.5000, 10.0000]]])
    """
    lowest = image.amin()
    span = (image.amax() - lowest).clamp(min=torch.finfo(image.dtype).tiny)
    unit = (image - lowest) / span
    value = unit.amax(dim=0)
    levels = (value * (_LEVELS - 1)).round().long()
    (above, below, down), (left, right, across) = (_between_tiles(side, min(tiles, side)) for side in value.shape)
    curves = _tone_curves(levels, min(tiles, value.shape[0]), min(tiles, value.shape[1]), clip)
    down = down[:, None]
    upper = torch.lerp(curves[above[:, None], left, levels], curves[above[:, None], right, levels], across)
    lower = torch.lerp(curves[below[:, None], left, levels], curves[below[:, None], right, levels], across)
    equalised = torch.lerp(upper, lower, down).to(image.dtype)
    return lowest + unit * (equalised / value.clamp(min=1 / _LEVELS)) * span


def _in_order(first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest, middle and highest of three, place by place."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return torch.minimum(low, third), torch.maximum(low, torch.minimum(high, third)), torch.maximum(high, third)


def _line(length: int, angle: float) -> Tensor:
    """(length, length): shares of a line of `length` points through the middle; each falls on its four neighbours."""
    reach = length // 2
    kernel = np.zeros((length + 1, length + 1))
    for step in range(-reach, reach + 1):
        place = reach + step * math.sin(angle), reach + step * math.cos(angle)
        (row, down), (column, across) = ((math.floor(p), p - math.floor(p)) for p in place)
        for rows, share in ((row, 1 - down), (row + 1, down)):
            kernel[rows, column] += share * (1 - across)
            kernel[rows, column + 1] += share * across
    return torch.from_numpy(kernel[:length, :length] / kernel[:length, :length].sum())


def _between_tiles(side: int, tiles: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place along an axis: the tiles whose centres lie before and behind it, and the share of the latter."""
    position = (torch.arange(side).add(0.5) * tiles / side - 0.5).clamp(0, tiles - 1)
    before = position.floor().long()
    return before, (before + 1).clamp(max=tiles - 1), position - before


def _tone_curves(levels: Tensor, down: int, across: int, clip: float) -> Tensor:
    """(down, across, levels): the brightness in 0..1 that each tile gives each level of the image `levels` (H, W)."""
    rows, columns = (
        torch.arange(side) * tiles // side for side, tiles in zip(levels.shape, (down, across), strict=True)
    )
    tile = rows[:, None] * across + columns
    counts = torch.bincount((tile * _LEVELS + levels).flatten(), minlength=down * across * _LEVELS)
    shares = counts.reshape(down, across, _LEVELS).float()
    shares /= shares.sum(dim=-1, keepdim=True)
    kept = shares.clamp(max=clip / _LEVELS)
    return (kept + (1 - kept.sum(dim=-1, keepdim=True)) / _LEVELS).cumsum(dim=-1)
