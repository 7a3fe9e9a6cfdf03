"""Scores of volumes from networks in 2D, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.data import MetaTensor
from monai.utils import convert_to_dst_type
from torch import Tensor

from mednoisy.inference.sliding_window import SlidingWindow


class SliceWise(SlidingWindow):
    """Mean softmax per voxel over windows of two axes in every slice along the last axis.

    Images are (B, C, X, Y, Z) and scores (B, K, X, Y, Z); networks see (slices, C, *patch_size), `batch_size` of them
    together. In a slice, windows lie as in `SlidingWindow`; a slice no larger than the patch is one window.
    """

    def _over_windows(self, inputs: Tensor, predictor: Callable[[Tensor], Any]) -> Any:
        if inputs.ndim != 5:
            raise ValueError(f"images are {tuple(inputs.shape)}; slice by slice, they must be (B, C, X, Y, Z)")
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        cases, slices = plain.shape[0], plain.shape[-1]
        scores = super()._over_windows(plain.movedim(-1, 1).flatten(0, 1), predictor)

        def volumes(of_slices: Tensor) -> Tensor:
            stacked = of_slices.unflatten(0, (cases, slices)).movedim(1, -1)
            return convert_to_dst_type(stacked, inputs)[0]

        if isinstance(scores, dict):
            return {name: volumes(of_slices) for name, of_slices in scores.items()}
        return volumes(scores)
