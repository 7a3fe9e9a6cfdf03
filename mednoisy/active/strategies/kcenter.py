"""k-centre greedy: always the case farthest from all that is labeled or chosen."""

from __future__ import annotations

import numpy as np

from mednoisy.active.distances import FarthestFirst, squared_distances
from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw


def kcenter(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Farthest first (Sener and Savarese, ICLR 2018, arXiv:1708.00489); without labels the most central case begins.

    Nothing is random in it.
    """
    offer_farthest(pool.needed("features", "kcenter"), pool, batch)
    return batch.done()


def offer_farthest(features: np.ndarray, pool: Pool, batch: Batch) -> None:
    """Offer a pool's cases farthest first, until the batch is full or all were offered."""
    centres = pool.labeled_features(features.shape[1])
    if not len(centres):
        first = _most_central(features)
        batch.offer(first, 0.0, "the most central case")
        centres = np.asarray(features[[first]])
    search = FarthestFirst(features, centres)
    for _ in range(len(pool.ids)):
        if batch.full:
            break
        row, distance = search.farthest()
        if batch.offer(row, distance, f"at distance {distance:.3g} from all that is labeled or chosen"):
            search.take(row)
        else:
            search.leave_out(row)


def _most_central(features: np.ndarray, rows: int = 32768) -> int:
    blocks = range(0, len(features), rows)
    mean = sum(np.asarray(features[start : start + rows]).sum(axis=0, dtype=np.float64) for start in blocks)
    mean = mean / len(features)
    nearest = [squared_distances(features[start : start + rows], mean[None])[:, 0] for start in blocks]
    return int(np.concatenate(nearest).argmin())
