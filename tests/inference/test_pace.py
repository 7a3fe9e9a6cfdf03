"""How long windows will take is told once, where it is long and another stride would be quicker."""

from __future__ import annotations

import torch
from torch import nn

from mednoisy.inference.coarse_to_fine import CoarseToFine
from mednoisy.inference.pace import Estimate, Pace
from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow

SHAPE = (48, 32, 32)


def told(inferer: SlidingWindow, passes: list[tuple[int, int, float]], images: int = 1, shape=SHAPE) -> list[Estimate]:
    found: list[Estimate] = []
    watch = Pace(inferer, images, found.append).of_next(shape)
    for each in passes:
        watch(*each)
    return found


def test_a_long_scan_and_its_quicker_stride():
    """Of 9 * 5 * 5 windows at stride 4 half a patch leaves 5 * 3 * 3; the first pass of four windows is left out."""
    inferer = SlidingWindow((16, 16, 16), (4, 4, 4))
    (found,) = told(inferer, [(4, 225, 90.0), (8, 225, 98.0), (12, 225, 106.0)], images=3)
    assert found == Estimate(3, (4, 4, 4), 3 * 225 * 2.0, (8, 8, 8), 3 * 45 * 2.0)


def test_what_is_quick_or_cannot_be_quicker_is_not_told():
    fine, coarse = SlidingWindow((16, 16, 16), (4, 4, 4)), SlidingWindow((16, 16, 16), (8, 8, 4))
    assert not told(fine, [(4, 225, 90.0)])  # nothing but the first pass
    assert not told(fine, [(4, 225, 1.0), (8, 225, 2.0)])  # a second: it may be anything
    assert not told(fine, [(4, 225, 1.0), (14, 225, 6.0)])  # 112 s
    assert told(fine, [(4, 225, 1.0), (14, 225, 7.0)])  # 135 s
    assert not told(coarse, [(4, 75, 1.0), (8, 75, 99.0)], shape=(48, 32, 20))  # 2 windows in place of 2 along the last


def test_each_image_may_be_the_long_one_and_those_left_count():
    found: list[Estimate] = []
    pace = Pace(SlidingWindow((16, 16), (2, 8)), 3, found.append)
    for seconds in (0.1, 5.0, 50.0):
        watch = pace.of_next((64, 64))
        watch(8, 100, 1.0)
        watch(16, 100, 1.0 + 8 * seconds)
    (only,) = found
    assert (only.images, only.seconds, only.quick_stride) == (2, 2 * 100 * 5.0, (8, 8))


def passes(inferer: SlidingWindow, image: torch.Tensor, predictors: dict[str, nn.Module]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    inferer.scores_of_all(image, predictors, on_windows=lambda done, of, seconds: found.append((done, of)))
    return found


class Sure(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-image, image], dim=1)


def test_every_kind_of_window_is_watched():
    """Coarse to fine the second pass counts, here every window, once for each network."""
    volume, two = torch.full((1, 1, 8, 8, 6), 9.0), {"a": Sure(), "b": Sure()}
    assert passes(SlidingWindow((4, 4, 6), (4, 4, 6), 2), volume, two) == [(2, 4), (4, 4)]
    assert passes(SliceWise((4, 8), (4, 8), 6), volume, two) == [(6, 12), (12, 12)]
    searched = CoarseToFine((4, 4, 6), (4, 4, 6), 2, search_stride=(4, 4, 6), search_above=0.5)
    assert passes(searched, volume, two) == [(2, 8), (4, 8)]
    assert not passes(searched, -volume, two)
