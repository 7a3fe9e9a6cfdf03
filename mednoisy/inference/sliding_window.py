"""Scores of whole images from overlapping windows, at exactly the published positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer, sliding_window_inference
from torch import Tensor, nn

from mednoisy.errors import check_whole
from mednoisy.networks.ensemble import MeanEnsemble


class SlidingWindow(Inferer):
    """Mean softmax per voxel over all windows that cover it, each with the same weight.

    Windows start at min(k * stride, size - patch) for k = 0, 1, ... along each axis, as in UA-MT, BCP and SDCL.
    An axis shorter than the patch is padded with zeros, half of them (rounded down) in front, and cropped back.
    Published strides for patch 112x112x80 are 18x18x4, for 96x96x96 they are 16x16x4.

    Args:
        patch_size: size of a window in voxels, per axis.
        stride: distance of neighbouring windows in voxels, per axis, 1 to the patch size.
        batch_size: windows that go through a network together.
    """

    def __init__(self, patch_size: Sequence[int], stride: Sequence[int], batch_size: int = 4):
        super().__init__()
        check_whole("window_batch", batch_size, least=1)
        self.patch_size = tuple(patch_size)
        self.overlap = overlap_for(patch_size, stride)
        self.batch_size = batch_size

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Scores (B, K, *spatial), which sum to 1 over K, of images (B, C, *spatial).

        `network` maps windows to logits and stays in the mode it is in. No gradient is kept.
        Further arguments are passed on to `network`.
        """

        def probabilities(windows: Tensor) -> Tensor:
            return network(windows, *args, **kwargs).softmax(dim=1, dtype=windows.dtype)

        return self._over_windows(inputs, probabilities)

    def scores_of_all(self, inputs: Tensor, predictors: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """The scores of each predictor, by name, from one pass over the windows; plain tensors (B, K, *spatial).

        Each network runs once per window, also where it is a member of several `MeanEnsemble`s; so scoring two
        students and their mean costs two forward passes.
        """

        def probabilities(windows: Tensor) -> dict[str, Tensor]:
            known: dict[nn.Module, Tensor] = {}
            return {name: _probabilities(network, windows, known) for name, network in predictors.items()}

        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        scores = self._over_windows(plain, probabilities)
        return {name: scores[name] for name in predictors}  # MONAI sorts the names

    @torch.no_grad()
    def _over_windows(self, inputs: Tensor, predictor: Callable[[Tensor], Any]) -> Any:
        return sliding_window_inference(
            inputs, self.patch_size, self.batch_size, predictor, self.overlap, mode="constant", padding_mode="constant"
        )


def overlap_for(patch_size: Sequence[int], stride: Sequence[int]) -> tuple[float, ...]:
    """MONAI's overlap per axis, from which it gets back exactly `stride`.

    MONAI takes the integer part of patch * (1 - overlap), so 1 - stride / patch loses a voxel to rounding for
    many pairs (15 instead of 16 for a patch of 96); half a voxel more keeps clear of that.

    Raises:
        ValueError: a stride is below 1 or above the patch size, where voxels would be left out.
    """
    for patch, step in zip(patch_size, stride, strict=True):
        if not 1 <= step <= patch:
            raise ValueError(f"stride is {list(stride)}; each must be from 1 to the patch size {list(patch_size)}")
    return tuple(max(0.0, 1 - (step + 0.5) / patch) for patch, step in zip(patch_size, stride, strict=True))


def decide(scores: Tensor, threshold: float | None = None) -> Tensor:
    """Label maps (B, *spatial), uint8, of scores (B, K, *spatial).

    The class of the highest score, the lower one where two are level; or, for two classes and a `threshold`,
    1 where the score of class 1 is above it (strictly; at 0.5, the published choice on left atrium, the same).
    """
    if threshold is None:
        return scores.argmax(dim=1).to(torch.uint8)
    if scores.shape[1] != 2:
        raise ValueError(f"a threshold decides between 2 classes; the scores have {scores.shape[1]}")
    return (scores[:, 1] > threshold).to(torch.uint8)


def _probabilities(network: nn.Module, windows: Tensor, known: dict[nn.Module, Tensor]) -> Tensor:
    if network not in known:
        if isinstance(network, MeanEnsemble):
            members = [_probabilities(member, windows, known) for member in network.members]
            known[network] = torch.stack(members).mean(dim=0)
        else:
            known[network] = network(windows).softmax(dim=1, dtype=windows.dtype)
    return known[network]
