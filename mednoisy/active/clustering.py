"""k-means on features, the same again for the same draw."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mednoisy.data.counter_based_random import Draw

FEW, MANY = 2_000, 5_000  # rows up to which several starts are tried, and beyond which batches move the centres


def clustered(
    features: np.ndarray, labeled: np.ndarray, number: int, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cluster of each row of `features` and of `labeled`, and the centres; clusters may be empty where rows repeat.

    Of many features those without labels alone make the clusters: they may be memory-mapped, and stay where they are.
    One thread: sums over several would differ in the last digit from call to call.

    Args:
        features: (N, D).
        labeled: (L, D), perhaps none.
        number: of clusters, at most N + L.
    """
    seed = draw.key("k-means", bits=32)
    many = len(features) > MANY
    rows = features if many or not len(labeled) else np.concatenate([features, labeled])
    if many:
        model = MiniBatchKMeans(number, random_state=seed, batch_size=4096, n_init=1)
    else:
        model = KMeans(number, random_state=seed, n_init=4 if len(rows) <= FEW else 1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        cluster_of = model.fit_predict(rows)
        if len(labeled) and many:
            of_labeled = model.predict(np.asarray(labeled, features.dtype))
        else:
            of_labeled = cluster_of[len(features) :]
    return cluster_of[: len(features)], of_labeled, np.asarray(model.cluster_centers_)
