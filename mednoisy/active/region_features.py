"""What a network sees in parts of a case: its maps, pooled over each part on the network's grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn

from mednoisy.active.features import feature_encoder, seen_by_last_layer
from mednoisy.active.whole_cases import Place, placed_windows
from mednoisy.inference.sliding_window import SlidingWindow

LEAST = 1e-6  # of a voxel: parts thinner than that lie outside of what the network sees


@dataclass(frozen=True)
class Parts:
    """Boxes of an image with fractions of voxels at their sides, as products of intervals along its axes.

    Many boxes share few intervals, so a map is summed along one axis after another.

    Attributes:
        intervals: along each axis (U, 2), from and to, in voxels from the image's edge.
        index: of each box its interval along each axis.
    """

    intervals: tuple[np.ndarray, ...]
    index: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray, shape: Iterable[int]) -> Parts:
        """Boxes by their corners, each (N, axes), cut to an image of `shape`.

        Of a box that lies outside of the image, as where preprocessing has cropped, the nearest voxel is taken.
        """
        pairs = []
        for axis, size in enumerate(shape):
            first, last = low[:, axis].clip(0, size), high[:, axis].clip(0, size)
            outside = last - first < LEAST
            nearest = np.floor(first).clip(0, size - 1)
            ends = np.stack([np.where(outside, nearest, first), np.where(outside, nearest + 1, last)], axis=1)
            pairs.append(np.unique(ends, axis=0, return_inverse=True))
        return cls(tuple(ends for ends, _ in pairs), tuple(index.reshape(-1) for _, index in pairs))

    def sums(self, maps: Tensor, place: Place) -> Tensor:
        """(F, U1, U2, ...), on the maps' device: of a window's maps over each product of intervals.

        Args:
            maps: (F, *cells); a cell stands for the same number of the window's voxels as any other.
            place: of the window. An axis that the maps have not, behind theirs, is one voxel long.
        """
        for axis in range(len(self.intervals)):
            if axis + 1 == maps.dim():
                maps = maps[..., None]
            held = torch.from_numpy(self._held(axis, maps.shape[axis + 1], place)).to(maps)
            maps = torch.tensordot(maps, held, dims=([axis + 1], [1])).movedim(-1, axis + 1)
        return maps

    def gathered(self, values: Tensor) -> np.ndarray:
        """(N, F), float32: what belongs to each box, of (F, U1, U2, ...)."""
        return np.moveaxis(values.numpy(), 0, -1)[self.index].astype(np.float32)

    def _held(self, axis: int, cells: int, place: Place) -> np.ndarray:
        """(U, cells): how much of each cell along an axis lies in each interval, in voxels that count."""
        shares = place.shares[axis].numpy()
        inner = self.intervals[axis] - place.start[axis]
        of_voxels = _overlap(inner, np.arange(len(shares) + 1.0)) * shares
        edges = np.linspace(0, len(shares), cells + 1)
        return of_voxels @ _overlap(np.stack([np.arange(len(shares)), np.arange(1, len(shares) + 1)], axis=1), edges)


def _overlap(intervals: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(U, E - 1): how much of what lies between edges lies in each interval."""
    low, high = intervals[:, :1], intervals[:, 1:]
    return (np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])).clip(min=0)


@torch.no_grad()
def features_of_parts(network: nn.Module, image: Tensor, inferer: SlidingWindow, parts: Parts) -> np.ndarray:
    """(N, D), float32: the mean over each part of the coarsest map of the network's encoder.

    A cell of that map counts as much as the part holds of the voxels that it stands for, so that parts within one cell
    have the same features, as neighbouring slices have of a network in 3D; in 2D each slice has a map of its own.

    Args:
        network, image, inferer: as of `features.pooled_bottleneck`, whose row a part has that holds the whole case,
            where windows neither overlap nor hold zeros around it.
        parts: of the image.

    Raises:
        UserError: E513, as `features.feature_encoder`.
    """
    encoder = feature_encoder(network)
    total, mass = torch.zeros(()), torch.zeros(())
    with eval_mode(encoder):
        for windows, places in placed_windows(image, inferer):
            for maps, place in zip(encoder(windows)[-1].float(), places, strict=True):
                total = total + parts.sums(maps, place).cpu().double()
                mass = mass + parts.sums(torch.ones_like(maps[:1]), place).cpu().double()
    return parts.gathered(total / mass)


@torch.no_grad()
def gradients_of_parts(network: nn.Module, image: Tensor, inferer: SlidingWindow, parts: Parts) -> np.ndarray:
    """(N, K * D), float32: BADGE's embedding of each part, see `uncertainty_maps.gradient_embedding`.

    Args, raises: as of `features.gradient_embedding_of_case`, and `features_of_parts`.
    """
    blocks: list[Tensor] = []
    for p, h, place in seen_by_last_layer(network, image, inferer):
        chosen = p.argmax(dim=0)
        of_window = []
        for code in range(len(p)):
            here = (chosen == code).to(p.dtype)
            maps = torch.cat([(p[code] - 1) * here * h, here[None]])  # the last one counts voxels of the class
            of_window.append(parts.sums(maps, place).cpu().double())
        blocks = [before + new for before, new in zip(blocks, of_window, strict=True)] if blocks else of_window
    means = [block[:-1] / block[-1:].clamp_min(LEAST) for block in blocks]
    return parts.gathered(torch.cat(means))
