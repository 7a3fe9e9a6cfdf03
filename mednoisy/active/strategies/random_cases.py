"""Random: what every other strategy has to beat."""

from __future__ import annotations

import numpy as np

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw


def random_cases(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Cases in a random order."""
    order = draw.generator("random").permutation(len(pool.ids))
    for index in order:
        if batch.full:
            break
        batch.offer(index, 0.0, "drawn at random")
    return batch.done()


def stochastic_batches(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Of random groups as large as the budget, the one of the highest mean uncertainty (Gaillochet et al., Medical
    Image Analysis 2023, arXiv:2301.07670): it cannot hold ten times the same thing.

    What the batch refuses of that group is filled up from the next ones.
    """
    uncertainty = pool.needed("uncertainty", "stochastic_batches")
    order = draw.generator("groups").permutation(len(pool.ids))
    groups = [order[start : start + batch.budget] for start in range(0, len(order), batch.budget)]
    means = np.array([uncertainty[group].mean() for group in groups])
    whole = np.array([len(group) == batch.budget for group in groups])
    for number in np.lexsort((-means, ~whole)):  # the last group may be smaller: a few are no fair comparison
        for index in groups[number]:
            batch.offer(index, means[number], f"in the random group of highest mean uncertainty, {means[number]:.3g}")
        if batch.full:
            break
    return batch.done()
