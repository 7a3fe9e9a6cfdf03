"""Cases nearest to the centres of clusters: the cold start of the source work, mended."""

from __future__ import annotations

import numpy as np

from mednoisy.active.clustering import clustered
from mednoisy.active.distances import squared_distances
from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw


def clusters(pool: Pool, batch: Batch, draw: Draw, *, number: int | None = None) -> list[Pick]:
    """From each cluster of features its share of the budget, those nearest to its centre (Zhao et al., EMBC 2022).

    What is labeled counts for its cluster. The released code ranks the whole pool by each centre, so that one case may
    be chosen twice; here only a cluster's own cases are. Where the batch refuses a case, the next nearest of the
    cluster follows, then other clusters'.

    Args:
        number: of clusters, whose shares follow their sizes, the largest remainders rounded up; None takes a cluster
            for each case that is or will be labeled, and one case of each (ALPS).
    """
    features = pool.needed("features", "clusters")
    labeled = pool.labeled_features(features.shape[1])
    wanted = min(number or len(labeled) + batch.budget, len(features) + len(labeled))
    of_pool, of_labeled, centres = clustered(features, labeled, wanted, draw)
    distances = np.empty(len(features))
    for cluster, centre in enumerate(centres):
        mine = np.flatnonzero(of_pool == cluster)
        distances[mine] = np.sqrt(squared_distances(features[mine], centre[None])[:, 0])
    labels = np.bincount(of_labeled, minlength=wanted)
    sizes = np.bincount(of_pool, minlength=wanted) + labels
    quotas = _quotas(sizes, len(labeled) + batch.budget) if number else np.ones(wanted, int)
    missing = quotas - labels
    for cluster in np.argsort(-missing, kind="stable"):
        mine = np.flatnonzero(of_pool == cluster)
        taken = 0
        for index in mine[np.argsort(distances[mine], kind="stable")]:
            if taken >= missing[cluster] or batch.full:
                break
            taken += batch.offer(index, -distances[index], f"near the centre of cluster {cluster + 1} of {wanted}")
    batch.offer_ranked(-distances, "near the centre of its cluster")
    return batch.done()


def _quotas(sizes: np.ndarray, total: int) -> np.ndarray:
    """Whole shares of `total` in proportion to `sizes`, by largest remainders."""
    exact = sizes / sizes.sum() * total
    shares = np.floor(exact).astype(int)
    largest = np.argsort(-(exact - shares), kind="stable")
    shares[largest[: total - shares.sum()]] += 1
    return shares
