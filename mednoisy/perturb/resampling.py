"""Images seen at other places: exact moves of voxels, and one interpolation at any positions.

Positions are in halves of a side from the centre, as `grid_sample` counts: -1 and 1 are the outer edges of the border's
voxels. There is one tensor for each axis, first axis first, which broadcasts to (B, *S).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Positions: TypeAlias = list[Tensor]


def along(axis: int, dimensions: int, values: Tensor) -> Tensor:
    """(L,) or (B, L) to (1 or B, 1, ..., L, ..., 1): values that change along one of the spatial axes.

    Examples:
        >>> along(1, 2, torch.tensor([1, 2])).shape
        torch.Size([1, 1, 2])
    """
    return values.reshape(-1, *(values.shape[-1] if each == axis else 1 for each in range(dimensions)))


def regular_positions(shape: Sequence[int], device: torch.device) -> Positions:
    """Where the voxels of `shape` lie themselves.

    Examples:
        >>> [position.flatten().tolist() for position in regular_positions((2, 4), torch.device("cpu"))]
        [[-0.5, 0.5], [-0.75, -0.25, 0.25, 0.75]]
    """
    return [
        along(axis, len(shape), (2 * torch.arange(side, device=device) + (1 - side)).float() / side)
        for axis, side in enumerate(shape)
    ]


def within_borders(positions: Positions, shape: Sequence[int]) -> Positions:
    """Positions of which those beyond the border's voxels are these: what lies there repeats them.

    Examples:
        >>> within_borders([torch.tensor([-2.0, 0.0, 2.0])], (4,))
        [tensor([-0.7500,  0.0000,  0.7500])]
    """
    return [place.clamp(1 / side - 1, 1 - 1 / side) for place, side in zip(positions, shape, strict=True)]


def sampled(
    images: Tensor, labels: Tensor | None, positions: Positions, seen: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Images interpolated linearly and labels by the nearest voxel; beyond the border it is repeated.

    Args:
        images: (B, C, *S), floats.
        labels: (B, *S) of any type, or None.
        seen: (B, *S), the share of the image that is seen, the rest is 0; of labels all or nothing, from a half on.
            None: all.

    Examples:
        >>> image, label = torch.tensor([[[[0.0, 8.0]]]]), torch.tensor([[[0, 1]]])
        >>> sampled(image, label, [torch.zeros(1, 1, 1), torch.tensor([[[-0.25, 0.5]]])], None)
        (tensor([[[[2., 8.]]]]), tensor([[[0, 1]]]))
    """
    size = len(images), *images.shape[2:]
    grid = torch.stack([place.expand(size) for place in reversed(positions)], dim=1).movedim(1, -1)
    moved = functional.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
    if seen is not None:
        moved = moved * seen.unsqueeze(1)
    if labels is not None:
        labels = _nearest(labels, positions)
        labels = labels if seen is None else labels * (seen >= 0.5)
    return moved.to(images.dtype), labels


def _nearest(labels: Tensor, positions: Positions) -> Tensor:
    """(B, *S): the codes of the voxels nearest to positions."""
    index: Tensor | None = None
    for place, side in zip(positions, labels.shape[1:], strict=True):
        number = (place + 1).mul_(side / 2).sub_(0.5).round_().clamp_(0, side - 1).long()
        index = number if index is None else index * side + number
    assert index is not None
    return labels.flatten(1).gather(1, index.expand(labels.shape).flatten(1)).reshape(labels.shape)


def rearranged(images: Tensor, labels: Tensor | None, symmetries: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, *S) and labels (B, *S) whose voxels have changed places by symmetries of the box.

    Args:
        symmetries: (B, D, D) of whole numbers 0, 1 and -1: which place, from the centre, is shown at a place.

    Examples:
        >>> rearranged(torch.tensor([[[1, 2, 3]]]), None, np.array([[[-1]]]))
        (tensor([[[3, 2, 1]]]), None)
    """
    if (symmetries == np.eye(images.ndim - 2)).all():
        return images, labels
    moved = torch.stack([_seen_by(image, own) for image, own in zip(images, symmetries, strict=True)])
    if labels is not None:
        labels = torch.stack([_seen_by(label, own) for label, own in zip(labels, symmetries, strict=True)])
    return moved, labels


def _seen_by(tensor: Tensor, symmetry: np.ndarray) -> Tensor:
    """A tensor whose last axes are those of `symmetry`."""
    first = tensor.ndim - len(symmetry)
    order = np.abs(symmetry).argmax(axis=0)
    mirrored = np.flatnonzero(symmetry.sum(axis=0) < 0) + first
    turned = tensor.permute(*range(first), *(order + first).tolist())
    return turned.flip(mirrored.tolist()) if len(mirrored) else turned
