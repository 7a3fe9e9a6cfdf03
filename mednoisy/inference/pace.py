"""How long label maps will take, known after the first windows, and how long they would at a coarser stride."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mednoisy.inference.sliding_window import OnWindows, SlidingWindow
from mednoisy.inference.windows import window_starts

LONG = 120.0  # seconds for all images, from which on a quicker stride is worth a line
TIMES_QUICKER = 2.0  # at least, or the coarser stride is not worth one
SURE_AFTER = 2.0  # seconds of windows beyond the first pass, which warms up


@dataclass(frozen=True)
class Estimate:
    """Of an image and all after it, as if these were as large.

    Attributes:
        images: how many.
        stride, seconds: at the stride asked for.
        quick_stride, quick_seconds: at half the patch, along an axis where that is more.
    """

    images: int
    stride: tuple[int, ...]
    seconds: float
    quick_stride: tuple[int, ...]
    quick_seconds: float


class Pace:
    """Watches windows pass, and calls `on_slow` once, where they will take long and need not.

    Args:
        inferer: whose windows they are.
        images: how many there will be.
        on_slow: is given the estimate.
    """

    def __init__(self, inferer: SlidingWindow, images: int, on_slow: Callable[[Estimate], None]):
        self.patch_size, self.stride = inferer.patch_size, inferer.stride
        self.quick = tuple(max(step, side // 2) for step, side in zip(self.stride, self.patch_size, strict=True))
        self.left, self.on_slow = images, on_slow
        self.told = False

    def of_next(self, shape: Sequence[int]) -> OnWindows:
        """What watches the windows of the next image, whose spatial axes (of volumes cut to slices at least those of a
        slice, first) are `shape`."""
        images, self.left = self.left, self.left - 1
        share = self._windows(shape, self.quick) / self._windows(shape, self.stride)
        first: list[tuple[int, float]] = []

        def watch(done: int, of: int, seconds: float) -> None:
            first.append((done, seconds))
            passed, taken = done - first[0][0], seconds - first[0][1]
            if self.told or share > 1 / TIMES_QUICKER or not passed or taken < SURE_AFTER:
                return
            expected = images * of * taken / passed
            if expected >= LONG:
                self.told = True
                self.on_slow(Estimate(images, self.stride, expected, self.quick, expected * share))

        return watch

    def _windows(self, shape: Sequence[int], stride: Sequence[int]) -> int:
        axes = zip(shape[: len(self.patch_size)], self.patch_size, stride, strict=True)
        return math.prod(len(window_starts(max(size, patch), patch, step)) for size, patch, step in axes)
