"""TypiClust: the most typical case of each large cluster that has no label yet."""

from __future__ import annotations

import numpy as np

from mednoisy.active.clustering import clustered
from mednoisy.active.distances import squared_distances
from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw

MOST_CLUSTERS, SMALLEST_CLUSTER, NEIGHBOURS = 500, 5, 20  # of the released code
BLOCK = 2048


def typiclust(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Clusters by fewest labels, then size; of each the case of highest typicality, 1 / mean distance to its
    neighbours (Hacohen et al., ICML 2022, arXiv:2202.02794).

    As the authors' code: min(labels + budget, 500) clusters, neighbours at most 20 and half the cluster, all within
    it. Clusters up to 5 cases are left out there, which in a pool of tens of cases would leave out all: the limit is
    at most a fifth of a cluster's mean size. Small clusters follow where large ones have no case left that is admitted.
    """
    features = pool.needed("features", "typiclust")
    labeled = pool.labeled_features(features.shape[1])
    total = len(features) + len(labeled)
    wanted = min(len(labeled) + batch.budget, MOST_CLUSTERS, total)
    of_pool, of_labeled, _ = clustered(features, labeled, wanted, draw)
    labels = np.bincount(of_labeled, minlength=wanted)
    sizes = np.bincount(of_pool, minlength=wanted) + labels
    limit = min(SMALLEST_CLUSTER, total / (5 * wanted))
    ranked: dict[int, list[tuple[int, float]]] = {}

    def next_of(cluster: int) -> bool:
        """Offer the cluster's cases in turn until one is taken; whether one was."""
        if cluster not in ranked:
            mine = np.flatnonzero(of_pool == cluster)
            typicality = _typicality(np.asarray(features[mine]))
            order = np.argsort(-typicality, kind="stable")
            ranked[cluster] = [(int(mine[place]), float(typicality[place])) for place in order]
        while ranked[cluster]:
            index, typical = ranked[cluster].pop(0)
            if batch.offer(index, typical, f"most typical of a cluster of {sizes[cluster]}, {labels[cluster]} labeled"):
                return True
        return False

    large = [cluster for cluster in range(wanted) if sizes[cluster] > limit]
    small = [cluster for cluster in range(wanted) if sizes[cluster] <= limit]
    for open_clusters in (large, small):
        while not batch.full and open_clusters:
            cluster = min(open_clusters, key=lambda one: (labels[one], -sizes[one], one))
            if next_of(cluster):
                labels[cluster] += 1
            else:
                open_clusters.remove(cluster)
    return batch.done()


def _typicality(features: np.ndarray) -> np.ndarray:
    count = min(NEIGHBOURS, max(len(features) // 2, 1))
    if len(features) == 1:
        return np.ones(1)
    typicality = np.empty(len(features))
    for start in range(0, len(features), BLOCK):
        distances = squared_distances(features[start : start + BLOCK], features)
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = np.inf
        nearest = np.partition(distances, count - 1, axis=1)[:, :count]
        typicality[start : start + BLOCK] = 1 / (np.sqrt(nearest).mean(axis=1) + 1e-5)
    return typicality
