"""Scores of volumes from networks in 2D, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mednoisy.inference.sliding_window import OnWindows, SlidingWindow


class SliceWise(SlidingWindow):
    """Mean softmax per voxel over windows of two axes in every slice along the last axis.

    Images are (B, C, X, Y, Z) and scores (B, K, X, Y, Z); networks see (slices, C, *patch_size), `batch_size` of them
    together. In a slice, windows lie as in `SlidingWindow`; a slice no larger than the patch is one window.
    """

    def _over_windows(
        self,
        inputs: Tensor,
        predictor: Callable[[Tensor], list[Tensor]],
        progress: bool = False,
        where: Tensor | None = None,
        on_windows: OnWindows | None = None,
    ) -> list[Tensor]:
        if inputs.ndim != 5:
            raise ValueError(f"images are {tuple(inputs.shape)}; slice by slice, they must be (B, C, X, Y, Z)")
        cases, slices = inputs.shape[0], inputs.shape[-1]
        slice_by_slice = None if where is None else where.movedim(-1, 1).flatten(0, 1)
        flat = inputs.movedim(-1, 1).flatten(0, 1)
        scores = super()._over_windows(flat, predictor, progress, slice_by_slice, on_windows)
        return [of_slices.unflatten(0, (cases, slices)).movedim(1, -1) for of_slices in scores]
