"""Scores of windows, averaged in place over all windows that cover a voxel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from mednoisy.inference.windows import Window, accumulator_device, free_memory


class ScoreMaps:
    """Sums of scores, one map for each predictor, made when the first window's scores tell the number of classes.

    Sums are in single precision or better: in half precision, 8 windows a voxel (half a patch of overlap) already
    change labels, docs/explanation/performance.md.

    Args:
        cases: B.
        shape: of the images, padded to the patch.
        patch_size: of a window.
        device: of the networks; maps that do not fit there are kept on the CPU.
    """

    def __init__(self, cases: int, shape: Sequence[int], patch_size: Sequence[int], device: torch.device):
        self.cases, self.shape, self.patch_size, self.device = cases, tuple(shape), tuple(patch_size), device
        self.maps: list[Tensor] = []

    def allocate(self, scores: Sequence[Tensor]) -> None:
        """Make a map (B, K, *shape) of zeros for each of the scores (windows, K, *patch_size), unless done.

        Raises:
            ValueError: scores of another size than their windows.
        """
        if self.maps:
            return
        for of_one in scores:
            if of_one.shape[2:] != self.patch_size:
                raise ValueError(f"scores are {tuple(of_one.shape[2:])} on windows of {self.patch_size}")
        shapes = [(self.cases, of_one.shape[1], *self.shape) for of_one in scores]
        home = self.device
        if home.type == "cuda":
            needed = sum(torch.Size(shape).numel() for shape in shapes) * scores[0].element_size()
            home = accumulator_device(home, needed, free_memory(home))
        self.maps = [torch.zeros(shape, dtype=of.dtype, device=home) for shape, of in zip(shapes, scores, strict=True)]

    def add(self, scores: Sequence[Tensor], windows: Sequence[Window]) -> None:
        """Add what each predictor gives for some windows: (windows, K, *patch_size) each."""
        self.allocate(scores)
        for total, of_one in zip(self.maps, scores, strict=True):
            for window, of_window in zip(windows, of_one.to(total.device), strict=True):
                total[window] += of_window

    def add_background(self, windows: Sequence[Window]) -> None:
        """Add certainty of class 0 in some windows, to maps that are made."""
        for total in self.maps:
            for window in windows:
                total[window][0] += 1

    def mean(self, coverage: Sequence[Tensor]) -> list[Tensor]:
        """The maps, divided in place by how many windows cover each voxel: the product of `coverage`, one per axis.

        No map of counts is made: each plane across the first axis is divided by the counts of the others, times its
        own. Counts are whole numbers, so this equals the division by a map of them bit for bit.
        """
        of_first, *others = coverage
        in_plane = reduce(lambda counts, axis: counts[..., None] * axis, others, torch.ones(()))
        for total in self.maps:
            in_plane = in_plane.to(total.device)
            for plane, count in zip(total.unbind(2), of_first.tolist(), strict=True):
                plane /= count * in_plane
        return self.maps
