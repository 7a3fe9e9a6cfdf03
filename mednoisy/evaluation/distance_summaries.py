"""Mean, 95th percentile, maximum and share within a limit of many distances, read once and never held all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mednoisy.evaluation.surface_distances import DirectedDistances


@dataclass
class DistanceSummary:
    """Summary of distances read once; the percentile is exact, as it lies among the largest, which are kept.

    Attributes:
        count: how many distances, one at least.
        total: their sum.
        within: how many are at most the limit.
        largest: some of those above 0, the largest; all below are 0 or of no concern to the percentile.
    """

    count: int
    total: float
    within: int
    largest: np.ndarray

    def pooled(self, other: DistanceSummary) -> DistanceSummary:
        """Summary of the distances of both."""
        largest = np.concatenate([self.largest, other.largest])
        return DistanceSummary(self.count + other.count, self.total + other.total, self.within + other.within, largest)

    def mean(self) -> float:
        return self.total / self.count

    def maximum(self) -> float:
        return float(self.largest.max(initial=0.0))

    def percentile_95(self) -> float:
        """As `np.percentile` of all distances, linearly interpolated."""
        return percentile_95(self.largest, self.count)


def summarise_distances(
    forth: DirectedDistances, back: DirectedDistances, limit: float
) -> tuple[DistanceSummary, DistanceSummary]:
    """Summaries of the distances of two directions; each and both pooled have their percentile."""
    tail = _tail_size(sum(distances.shared + distances.apart for distances in (forth, back)))
    return _summary(forth, tail, limit), _summary(back, tail, limit)


def percentile_95(largest: np.ndarray, count: int) -> float:
    """As `np.percentile(..., 95)` of so many values, the largest of which are given.

    Those left out are 0, or smaller than all given if at least a twentieth of the values is given, and two.
    """
    below, share = divmod((count - 1) * 0.95, 1)
    left_out = count - largest.size
    first, second = int(below) - left_out, min(int(below) + 1, count - 1) - left_out  # places among those given
    if second < 0:
        return 0.0
    values = np.partition(largest, (max(first, 0), second))
    low, high = values[first] if first >= 0 else 0.0, values[second]
    return float(low + (high - low) * share)


def _tail_size(count: int) -> int:
    """How many of so many values, from the largest down, the 95th percentile depends on."""
    return count - int((count - 1) * 0.95)


def _summary(distances: DirectedDistances, tail: int, limit: float) -> DistanceSummary:
    """Summary that keeps the largest values, `tail` of them or up to twice as many."""
    total, within, threshold = 0.0, distances.shared if limit >= 0 else 0, 0.0
    largest: list[np.ndarray] = []
    size = 0
    for block in distances.blocks:
        total += float(block.sum())
        within += int(np.count_nonzero(block <= limit))
        largest.append(block[block > threshold])
        size += largest[-1].size
        if size > 2 * tail:
            together = np.concatenate(largest)
            together.partition(size - tail)
            largest, size = [together[-tail:].copy()], tail
            threshold = float(largest[0][0])
    return DistanceSummary(
        distances.shared + distances.apart, total, within, np.concatenate(largest) if largest else np.empty(0)
    )
