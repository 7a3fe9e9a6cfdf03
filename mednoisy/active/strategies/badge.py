"""BADGE: cases whose gradients are large and point in different directions."""

from __future__ import annotations

import numpy as np

from mednoisy.active.distances import squared_distances
from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw


def badge(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """k-means++ seeding over gradient embeddings (Ash et al., ICLR 2020, arXiv:1906.03671).

    The largest gradient begins, as in the authors' code; each next case is drawn with the probability of its squared
    distance from the nearest chosen one. Where all that is left has the gradients of chosen cases the longest follow.
    """
    gradients = pool.needed("gradients", "badge")
    generator = draw.generator("seeding")
    lengths = np.linalg.norm(np.asarray(gradients, np.float64), axis=1)
    index, score = int(lengths.argmax()), float(lengths.max())
    near, reason = np.full(len(gradients), np.inf), "its gradient is the longest, {:.3g}"
    for _ in range(len(gradients)):
        if batch.offer(index, score, reason.format(score)):
            near = np.minimum(near, squared_distances(gradients, gradients[[index]])[:, 0])
        near[index] = 0
        if batch.clashes is not None:
            near[~batch.clashes.open] = 0  # of a million boxes most lie in chosen ones, and need not be drawn
        total = near.sum()
        if batch.full or not np.isfinite(total) or total == 0:
            break
        index = int(generator.choice(len(near), p=near / total))
        score, reason = float(np.sqrt(near[index])), "its gradient is {:.3g} from those of the chosen"
    batch.offer_ranked(lengths, "its gradient is {score:.3g} long, as those of chosen cases")
    return batch.done()
