"""k-means on features, the same again for the same draw."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mednoisy.data.counter_based_random import Draw

MANY = 20_000  # features above which batches of them move the centres


def clustered(features: np.ndarray, number: int, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each row, and the centres; clusters may be empty where rows repeat.

    One thread: sums over several would differ in the last digit from call to call.

    Args:
        features: (N, D).
        number: of clusters, at most N.
    """
    seed = draw.key("k-means", bits=32)
    if len(features) > MANY:
        model = MiniBatchKMeans(number, random_state=seed, batch_size=4096, n_init=1)
    else:
        model = KMeans(number, random_state=seed, n_init=4)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        cluster_of = model.fit_predict(np.asarray(features))
    return cluster_of, np.asarray(model.cluster_centers_)
