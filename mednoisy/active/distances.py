"""Distances between features, and the cases farthest from all chosen ones: exact, also for a million of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BLOCK = 32768  # rows that a product of matrices takes at once
CANDIDATES = 1024  # rows whose distances are kept exactly
GROWTH = 4


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M), in float64 and never negative."""
    rows, others = np.asarray(rows, np.float64), np.asarray(others, np.float64)
    products = rows @ others.T
    products *= -2
    products += (rows**2).sum(axis=1)[:, None]
    products += (others**2).sum(axis=1)
    return np.maximum(products, 0, out=products)


class FarthestFirst:
    """The row farthest from all centres, again and again, each row taken becoming a centre: k-centre greedy.

    Exact, but not by a pass over all features for each centre. Distances to the nearest centre only shrink as centres
    come, so those known from earlier centres are upper bounds. The rows with the largest bounds are followed exactly;
    as long as the farthest of them lies beyond every other row's bound it is the farthest of all. Otherwise the
    centres since then are taken into all bounds, in products of matrices.

    Bounds are in float32 and bear an allowance for rounding, the rows followed are in float64; of equal distances the
    first row counts.

    Args:
        features: (N, D), perhaps memory-mapped.
        centres: (L, D), to begin with; at least one.
        candidates: how many rows are followed.
    """

    def __init__(self, features: np.ndarray, centres: np.ndarray, candidates: int = CANDIDATES):
        self.features, self.candidates = features, min(candidates, len(features))
        self.origin = _mean(features)  # distances do not change, rounding does
        self.norms = np.empty(len(features), np.float32)
        for start in range(0, len(features), BLOCK):
            block = self._rows(slice(start, start + BLOCK))
            self.norms[start : start + BLOCK] = np.einsum("nd,nd->n", block, block)
        self.bounds = np.full(len(features), np.inf, np.float32)
        self.centres = [row for row in np.asarray(centres, np.float64) - self.origin]
        self._taken_in = 0  # centres that all bounds know
        self._follow()

    def farthest(self) -> tuple[int, float]:
        """The row that is farthest from its nearest centre, and that distance."""
        while True:
            best = int(self.near.argmax())
            if self.near[best] > self._beyond:
                return int(self.followed[best]), float(np.sqrt(self.near[best]))
            if self._taken_in == len(self.centres):  # all bounds are as good as they get: follow more rows
                self.candidates = min(GROWTH * self.candidates, len(self.features))
            self._follow()

    def take(self, row: int) -> None:
        """Make a row a centre."""
        centre = np.asarray(self.features[row], np.float64) - self.origin
        self.centres.append(centre)
        distances = self._followed_norms - 2 * (self._followed_rows @ centre) + centre @ centre
        np.minimum(self.near, np.maximum(distances, 0), out=self.near)

    def leave_out(self, row: int) -> None:
        """Never name a row again, without making it a centre."""
        self.bounds[row] = -np.inf
        self.near[self.followed == row] = -np.inf

    def _rows(self, where: slice) -> np.ndarray:
        return np.asarray(self.features[where], np.float32) - self.origin.astype(np.float32)

    def _follow(self) -> None:
        """Take new centres into all bounds, and follow the rows with the largest."""
        fresh = np.array(self.centres[self._taken_in :], np.float64)
        if len(fresh):
            lengths = (fresh**2).sum(axis=1).astype(np.float32)
            turned = np.ascontiguousarray(-2 * fresh.T.astype(np.float32))
            for start in range(0, len(self.features), BLOCK):
                rows = slice(start, start + BLOCK)
                products = self._rows(rows) @ turned
                products += lengths
                nearest = products.min(axis=1)
                nearest += self.norms[rows]
                np.minimum(self.bounds[rows], nearest, out=self.bounds[rows])
            self._taken_in = len(self.centres)
        rest = len(self.bounds) - self.candidates
        order = np.argpartition(self.bounds, rest) if rest else np.arange(len(self.bounds))
        self.followed = np.sort(order[rest:])
        largest = float(self.norms.max()) + max(float((centre**2).sum()) for centre in self.centres)
        allowance = 4 * self.features.shape[1] * float(np.finfo(np.float32).eps) * largest
        self._beyond = float(self.bounds[order[:rest]].max()) + allowance if rest else -np.inf
        self._followed_rows = np.asarray(self.features[self.followed], np.float64) - self.origin
        self._followed_norms = np.einsum("nd,nd->n", self._followed_rows, self._followed_rows)
        self.near = squared_distances(self._followed_rows, np.array(self.centres)).min(axis=1)
        self.near[np.isneginf(self.bounds[self.followed])] = -np.inf


def farthest_by_passes(
    features: np.ndarray, centres: np.ndarray, count: int, on_centre: Callable[[int], None] | None = None
) -> list[int]:
    """What `FarthestFirst` names, found by a pass over all features for each centre; to compare with."""
    near = np.full(len(features), np.inf)
    for centre in np.asarray(centres, np.float64):
        near = np.minimum(near, ((features - centre) ** 2).sum(axis=1))
    rows: list[int] = []
    while len(rows) < count:
        rows.append(int(near.argmax()))
        near = np.minimum(near, ((features - np.asarray(features[rows[-1]], np.float64)) ** 2).sum(axis=1))
        if on_centre is not None:
            on_centre(rows[-1])
    return rows


def _mean(features: np.ndarray) -> np.ndarray:
    total = np.zeros(features.shape[1])
    for start in range(0, len(features), BLOCK):
        total += np.asarray(features[start : start + BLOCK]).sum(axis=0, dtype=np.float64)
    return total / len(features)
