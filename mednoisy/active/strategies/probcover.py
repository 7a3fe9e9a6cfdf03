"""ProbCover: cases whose surroundings hold the most that is not covered yet."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from mednoisy.active.clustering import clustered
from mednoisy.active.distances import squared_distances
from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError

PURITY, RADII = 0.95, 100
MOST = 20_000  # cases whose pairs are still looked at
BLOCK = 1024


def probcover(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Greedily the case whose ball covers most uncovered cases; labeled ones cover theirs first (Yehuda et al.,
    NeurIPS 2022, arXiv:2205.11320).

    The radius is the largest of 100 between 0 and the largest distance at which 95 % of the balls hold cases of one
    cluster only (k-means, as many clusters as labels there will be). Once all is covered, cover is counted anew.

    Raises:
        UserError: E394, more than 20,000 cases, whose pairs are too many.
    """
    features = pool.needed("features", "probcover")
    if len(features) > MOST:
        cause = f"probcover looks at all pairs of cases, and {len(features)} are too many for that"
        raise UserError("E394", cause, "Take --strategy kcenter or typiclust")
    labeled = pool.labeled_features(features.shape[1])
    everything = np.concatenate([features, labeled]).astype(np.float32)
    wanted = min(len(labeled) + batch.budget, len(everything))
    of_pool, of_labeled, _ = clustered(everything[: len(features)], everything[len(features) :], wanted, draw)
    radius = _pure_radius(everything, np.concatenate([of_pool, of_labeled]))
    covers = _balls(everything, radius)
    open_to = np.ones(len(everything), bool)
    for row in range(len(features), len(everything)):
        open_to[covers[row].indices] = False
    offered = np.zeros(len(features), bool)
    while not batch.full and not offered.all():
        gains = (covers @ open_to.astype(np.int32))[: len(features)]
        gains[offered] = -1
        best = int(gains.argmax())
        if gains[best] == 0 and not open_to.all():
            open_to[:] = True
            continue
        offered[best] = True
        if batch.offer(best, float(gains[best]), f"{gains[best]} cases lie around it that nothing labeled is near"):
            open_to[covers[best].indices] = False
    return batch.done()


def _balls(features: np.ndarray, radius: float) -> csr_matrix:
    """Which rows lie within the radius of which, themselves among them."""
    columns, lengths = [], []
    for start in range(0, len(features), BLOCK):
        near = squared_distances(features[start : start + BLOCK], features) <= radius**2
        near[np.arange(len(near)), start + np.arange(len(near))] = True
        columns.append(near.nonzero()[1])
        lengths.append(near.sum(axis=1))
    pointers = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    indices = np.concatenate(columns)
    return csr_matrix((np.ones(len(indices), np.int32), indices, pointers), shape=(len(features),) * 2)


def _pure_radius(features: np.ndarray, cluster_of: np.ndarray) -> float:
    """The largest radius tried whose balls are 95 % pure; 0 where the first is not."""
    nearest_other, largest = np.full(len(features), np.inf), 0.0
    for start in range(0, len(features), BLOCK):
        distances = squared_distances(features[start : start + BLOCK], features)
        largest = max(largest, float(distances.max()))
        distances[cluster_of[start : start + BLOCK, None] == cluster_of] = np.inf
        nearest_other[start : start + BLOCK] = distances.min(axis=1)
    radii = np.linspace(0, np.sqrt(largest), RADII)
    pure = np.array([(nearest_other > radius**2).mean() for radius in radii])
    impure = np.flatnonzero(pure < PURITY)
    return float(radii[max(impure[0] - 1, 0)] if impure.size else radii[-1])
