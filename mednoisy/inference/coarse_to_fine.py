"""Sliding windows that take a large scan in two passes: where to look, then what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from mednoisy.inference.sliding_window import OnWindows, SlidingWindow, derived, window_probabilities
from mednoisy.inference.windows import check_stride
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.pseudo.cleanup import Neighbours


class CoarseToFine(SlidingWindow):
    """Windows at `stride` only around what a first pass at `search_stride` took for foreground.

    Each network searches for itself. A voxel counts as found where the first pass gives all foreground classes
    together more than `search_above`. In the second pass windows without a found voxel are background with certainty,
    as those of `skip_below` are. So the scores of found voxels are those of a `SlidingWindow`, for every window over
    them is taken, and elsewhere the foreground is at most theirs. What is missed is foreground that the first pass
    gave less than `search_above`. Scores of a `MeanEnsemble` are the mean of its members' scores, here and in
    `scores_of_all`.

    Args:
        patch_size, stride, batch_size, precision, skip_below, keep_largest: as of `SlidingWindow`.
        search_stride: of the first pass, in voxels, per axis, 1 to the patch size.
        search_above: probability; None makes one pass over all windows, as `SlidingWindow` does.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        stride: Sequence[int],
        batch_size: int | None = 4,
        precision: str = "fp32",
        skip_below: float | None = None,
        keep_largest: Neighbours | None = None,
        *,
        search_stride: Sequence[int],
        search_above: float | None,
    ):
        super().__init__(patch_size, stride, batch_size, precision, skip_below, keep_largest)
        check_stride(patch_size, search_stride)
        if search_above is not None and not 0 <= search_above < 1:
            raise ValueError(f"search_above is {search_above!r}; it must be from 0 to below 1, or null")
        self.search = SlidingWindow(patch_size, search_stride, batch_size, precision, skip_below)
        self.search_above = search_above

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """As of `SlidingWindow`; the members of an ensemble search each for itself."""
        if not isinstance(network, MeanEnsemble) or self.search_above is None:
            return super().__call__(inputs, network, *args, **kwargs)
        scores = self.scores_of_all(inputs, {"mean": network})["mean"]
        if isinstance(inputs, MetaTensor):
            return MetaTensor(scores).copy_meta_from(inputs, copy_attr=False)
        return scores

    def scores_of_all(
        self,
        inputs: Tensor,
        predictors: Mapping[str, nn.Module],
        *,
        progress: bool = False,
        on_windows: OnWindows | None = None,
    ) -> dict[str, Tensor]:
        """As of `SlidingWindow`; what a predictor gives does not depend on which others are asked for.

        `on_windows` is told of the first network's second pass, as if every other took as many windows.
        """
        if self.search_above is None:
            return super().scores_of_all(inputs, predictors, progress=progress, on_windows=on_windows)
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        scores: dict[nn.Module, Tensor] = {}
        networks = list(dict.fromkeys(_members(predictors.values())))
        watch = None if on_windows is None else _of_several(on_windows, len(networks))
        for network in networks:

            def of_one(windows: Tensor, network: nn.Module = network) -> list[Tensor]:
                return [window_probabilities(network, windows, {})]

            (scores[network],) = self._over_windows(image, of_one, progress, on_windows=watch)
            watch = None
        return {name: derived(network, scores) for name, network in predictors.items()}

    @torch.no_grad()
    def _over_windows(
        self,
        inputs: Tensor,
        predictor: Callable[[Tensor], list[Tensor]],
        progress: bool = False,
        where: Tensor | None = None,
        on_windows: OnWindows | None = None,
    ) -> list[Tensor]:
        if self.search_above is not None:
            where = self._found(self.search._over_windows(inputs, predictor, progress), where)
        return super()._over_windows(inputs, predictor, progress, where, on_windows)

    def _found(self, scores: Sequence[Tensor], where: Tensor | None) -> Tensor:
        """(B, *spatial), bool: where any of the scores has more foreground than `search_above`, and within `where`."""
        assert self.search_above is not None
        found = torch.stack([of_one[:, 0] < 1 - self.search_above for of_one in scores]).any(dim=0)
        return found if where is None else found & where


def _of_several(on_windows: OnWindows, networks: int) -> OnWindows:
    return lambda done, of, seconds: on_windows(done, of * networks, seconds)


def _members(networks: Iterable[nn.Module]) -> list[nn.Module]:
    """The networks, ensembles replaced by what they are the mean of."""
    return [
        member
        for network in networks
        for member in (_members(network.members) if isinstance(network, MeanEnsemble) else [network])
    ]
