"""Scores of whole images from overlapping windows, at exactly the published positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import reduce
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm import tqdm

from mednoisy.errors import check_whole
from mednoisy.inference.score_maps import ScoreMaps
from mednoisy.inference.windows import (
    Window,
    batch_size_for,
    batches,
    check_stride,
    coverage,
    padded,
    window_boxes,
    window_maxima,
)
from mednoisy.kept_memory import kept_memory
from mednoisy.networks.bf16_limits import bf16_is_safe, coarsest_map
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.pseudo.cleanup import Neighbours, check_neighbours

SHOWN_AFTER = 2.0  # seconds in a scan until its windows have a progress bar
SLAB = 16  # planes whose labels are decided together
OnWindows = Callable[[int, int, float], None]  # windows that have passed, of how many, in so many seconds


class SlidingWindow(Inferer):
    """Mean softmax per voxel over all windows that cover it, each with the same weight.

    Windows start at min(k * stride, size - patch) for k = 0, 1, ... along each axis, as in UA-MT, BCP and SDCL.
    An axis shorter than the patch is padded with zeros, half of them (rounded down) in front, and cropped back.
    Published strides for patch 112x112x80 are 18x18x4, for 96x96x96 they are 16x16x4.

    Args:
        patch_size: size of a window in voxels, per axis.
        stride: distance of neighbouring windows in voxels, per axis, 1 to the patch size.
        batch_size: windows that go through a network together, see `batches`; None: see `batch_size_for`.
        precision: of the networks: `bf16` (autocast), or `fp32`, which leaves it to an autocast around the call.
        skip_below: windows in which no channel has a voxel above this intensity are background with certainty, and no
            network sees them. None: all are seen.
        keep_largest: neighbours of a voxel (6, 18 or 26) where each class of a case's final label map keeps its largest
            component alone, see `predict_case`; scores stay as they are. None keeps all.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        stride: Sequence[int],
        batch_size: int | None = 4,
        precision: str = "fp32",
        skip_below: float | None = None,
        keep_largest: Neighbours | None = None,
    ):
        super().__init__()
        if batch_size is not None:
            check_whole("window_batch", batch_size, least=1)
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"inference_precision is {precision!r}; it must be fp32 or bf16")
        if skip_below is not None and not isinstance(skip_below, (int, float)):
            raise ValueError(f"skip_below is {skip_below!r}; it must be an intensity, or null")
        check_stride(patch_size, stride)
        if keep_largest is not None:
            check_neighbours(keep_largest, len(patch_size))
        self.patch_size, self.stride = tuple(patch_size), tuple(stride)
        self.batch_size, self.precision, self.skip_below = batch_size, precision, skip_below
        self.keep_largest = keep_largest

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Scores (B, K, *spatial), which sum to 1 over K, of images (B, C, *spatial).

        `network` maps windows to logits and stays in the mode it is in. No gradient is kept. The scores are on the
        images' device, on the CPU where they do not fit there, and have the images' metadata.
        Further arguments are passed on to `network`.
        """

        def probabilities(windows: Tensor) -> list[Tensor]:
            return [_softmax(_logits(network, windows, *args, **kwargs), windows)]

        (scores,) = self._over_windows(_plain(inputs), probabilities)
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
        """The scores of each predictor, by name, from one pass over the windows; plain tensors (B, K, *spatial).

        Each network runs once per window, also where it is a member of several `MeanEnsemble`s; so scoring two
        students and their mean costs two forward passes. What an ensemble gives is the mean of its members' scores,
        not summed up by itself, where these are asked for as well.

        Args:
            inputs: (B, C, *spatial).
            predictors: map windows to logits.
            progress: whether windows have a bar on a terminal, once they have taken two seconds.
            on_windows: is told of windows as they pass; on a GPU without waiting for it.
        """
        asked = list(dict.fromkeys(predictors.values()))
        summed = [network for network in asked if not _follows(network, asked)]

        def probabilities(windows: Tensor) -> list[Tensor]:
            known: dict[nn.Module, Tensor] = {}
            return [window_probabilities(network, windows, known) for network in summed]

        found = self._over_windows(_plain(inputs), probabilities, progress, on_windows=on_windows)
        scores = dict(zip(summed, found, strict=True))
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
        """The mean over windows of each of the scores that `predictor` gives for a batch of them.

        Args:
            where: (B, *spatial), bool; windows without a true voxel are skipped as well.
        """
        image, place = padded(inputs, self.patch_size)
        cases, _, *shape = image.shape
        maps = ScoreMaps(cases, shape, self.patch_size, image.device)
        boxes = window_boxes(shape, self.patch_size, self.stride)
        windows: list[Window] = [(case, slice(None), *box) for case in range(cases) for box in boxes]
        seen, skipped = self._told_apart(image, where, windows)
        size = self.batch_size or batch_size_for(self.patch_size, image.device)
        with ExitStack() as stack:
            if image.device.type == "cpu":
                stack.enter_context(kept_memory())
            if self.precision == "bf16":
                stack.enter_context(torch.autocast(image.device.type, dtype=torch.bfloat16))
            bar = stack.enter_context(_bar(len(seen), shown=progress))
            start = time.perf_counter()
            for numbers in batches(len(seen), size):
                windows = [seen[number] for number in numbers]
                maps.add(predictor(_crops(image, windows)), windows)
                bar.update(len(windows))
                if on_windows is not None:
                    on_windows(numbers.stop, len(seen), time.perf_counter() - start)
            if not seen:
                maps.allocate(predictor(_crops(image, skipped[:1])))  # which tells the classes
        maps.add_background(skipped)
        covered = [coverage(*axis) for axis in zip(shape, self.patch_size, self.stride, strict=True)]
        return [scores[(slice(None), slice(None), *place)] for scores in maps.mean(covered)]

    def _told_apart(
        self, image: Tensor, where: Tensor | None, windows: list[Window]
    ) -> tuple[list[Window], list[Window]]:
        """Windows that networks see and windows that are skipped; on a GPU the one time that a scan waits for it."""
        keep = []
        if self.skip_below is not None:
            keep.append(window_maxima(image.amax(dim=1), self.patch_size, self.stride) > self.skip_below)
        if where is not None:
            touched, _ = padded(where[:, None].to(image.device, torch.uint8), self.patch_size)
            keep.append(window_maxima(touched[:, 0], self.patch_size, self.stride) > 0)
        if not keep:
            return windows, []
        flags = torch.stack(keep).all(dim=0).flatten().tolist()
        seen = [window for window, taken in zip(windows, flags, strict=True) if taken]
        return seen, [window for window, taken in zip(windows, flags, strict=True) if not taken]


def decide(scores: Tensor, threshold: float | None = None) -> Tensor:
    """Label maps (B, *spatial), uint8, of scores (B, K, *spatial).

    The class of the highest score, the lower one where two are level; or, for two classes and a `threshold`,
    1 where the score of class 1 is above it (strictly; at 0.5, the published choice on left atrium, the same).
    """
    if threshold is None:
        # Slab by slab: torch's argmax takes 8 bytes a voxel.
        slabs = scores.split(SLAB, dim=2) if scores.ndim > 2 else [scores]
        labels = [slab.argmax(dim=1).to(torch.uint8) for slab in slabs]
        return labels[0] if len(labels) == 1 else torch.cat(labels, dim=1)
    if scores.shape[1] != 2:
        raise ValueError(f"a threshold decides between 2 classes; the scores have {scores.shape[1]}")
    return (scores[:, 1] > threshold).to(torch.uint8)


def _plain(inputs: Tensor) -> Tensor:
    return inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs


def _crops(image: Tensor, windows: Sequence[Window]) -> Tensor:
    """(windows, C, *patch_size)."""
    return torch.stack([image[window] for window in windows])


def _bar(windows: int, *, shown: bool) -> tqdm:
    """A bar that goes away when it is full, so that the one of the cases around it stays."""
    wish = {"desc": "windows", "unit": "window", "leave": False, "delay": SHOWN_AFTER}
    return tqdm(total=windows, disable=None if shown else True, **wish)


def _logits(network: Callable[..., Tensor], windows: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """In the precision asked for, or single precision where bf16 could not be trusted."""
    kind = windows.device.type
    size = windows.shape[2:]
    low = isinstance(network, nn.Module) and torch.is_autocast_enabled(kind)
    if not low or bf16_is_safe(kind, coarsest_map(size, [network])):  # type: ignore[list-item]
        return network(windows, *args, **kwargs)
    with torch.autocast(kind, enabled=False):
        return network(windows, *args, **kwargs)


def _softmax(logits: Tensor, windows: Tensor) -> Tensor:
    """Probabilities in single precision or better, whatever the network computed in."""
    return logits.softmax(dim=1, dtype=torch.promote_types(windows.dtype, torch.float32))


def window_probabilities(network: nn.Module, windows: Tensor, known: dict[nn.Module, Tensor]) -> Tensor:
    """Scores of windows, with those of networks that are `known` already."""
    if network not in known:
        if isinstance(network, MeanEnsemble):
            known[network] = _mean([window_probabilities(member, windows, known) for member in network.members])
        else:
            known[network] = _softmax(_logits(network, windows), windows)
    return known[network]


def _follows(network: nn.Module, asked: Sequence[nn.Module]) -> bool:
    """Whether a network's scores follow from those of others that are asked for."""
    return isinstance(network, MeanEnsemble) and all(member in asked for member in network.members)


def derived(network: nn.Module, scores: dict[nn.Module, Tensor]) -> Tensor:
    """The scores of a network, of an ensemble from those of its members; what is made is added to `scores`."""
    if network not in scores:
        assert isinstance(network, MeanEnsemble)
        scores[network] = _mean([derived(member, scores) for member in network.members])
    return scores[network]


def _mean(scores: Sequence[Tensor]) -> Tensor:
    """Of several tensors, with one new one for the sum."""
    first, *others = scores
    return reduce(Tensor.add_, others, first.clone()).div_(len(scores))
