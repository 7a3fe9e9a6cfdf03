"""Percentiles, mean and deviation of the intensities of many images, from a sample of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE = 20_000  # voxels of an image, evenly spaced, so that large images weigh no more than small ones


@dataclass(frozen=True)
class Intensities:
    """How intensities are distributed, in the images' own unit.

    Attributes:
        low: 0.5th percentile.
        high: 99.5th percentile.
        whole: whether all are whole numbers.
    """

    least: float
    low: float
    median: float
    high: float
    largest: float
    mean: float
    deviation: float
    whole: bool


class Sampler:
    """Takes images one by one and keeps some voxels of each."""

    def __init__(self) -> None:
        self._samples: list[np.ndarray] = []
        self._least, self._largest = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """The intensities of one image, or of a part of it: a vector of any length."""
        if not values.size:
            return
        self._least = min(self._least, float(values.min()))
        self._largest = max(self._largest, float(values.max()))
        places = np.linspace(0, values.size - 1, min(values.size, SAMPLE)).round().astype(np.int64)
        self._samples.append(values[places].astype(np.float64))

    def summary(self) -> Intensities | None:
        """The figures over all samples, to six digits; None of nothing."""
        if not self._samples:
            return None
        values = np.concatenate(self._samples)
        low, median, high = np.percentile(values, [0.5, 50, 99.5])
        return Intensities(
            least=_short(self._least),
            low=_short(low),
            median=_short(median),
            high=_short(high),
            largest=_short(self._largest),
            mean=_short(values.mean()),
            deviation=_short(values.std()),
            whole=bool((values == values.round()).all()),
        )


def _short(figure: float) -> float:
    return float(f"{float(figure):.6g}")
