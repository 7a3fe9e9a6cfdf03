"""The most uncertain cases, by whatever score the pool holds; plainly, with noise, or the most different of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.active.strategies.kcenter import offer_farthest
from mednoisy.data.counter_based_random import Draw


def most_uncertain(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """The cases of the highest uncertainty."""
    batch.offer_ranked(pool.needed("uncertainty", "the most uncertain"), "uncertainty {score:.3g}")
    return batch.done()


def power(pool: Pool, batch: Batch, draw: Draw, *, beta: float = 1.0) -> list[Pick]:
    """The highest of ln uncertainty + Gumbel(0, 1 / beta): nearly a draw by uncertainty to the power of beta (Kirsch
    et al., arXiv:2106.12059)."""
    batch.offer_ranked(
        noisy_logarithm(pool.needed("uncertainty", "power"), beta, draw, "power"),
        "ln uncertainty with noise {score:.3g}",
    )
    return batch.done()


def uncertain_and_different(pool: Pool, batch: Batch, draw: Draw, *, factor: int = 4) -> list[Pick]:
    """Of the `factor` x budget most uncertain cases those that differ most, by k-centre greedy.

    What is a near-duplicate is measured in the whole pool. Where too few of these are admitted, the most uncertain of
    all others follow.
    """
    uncertainty = pool.needed("uncertainty", "uncertain_and_different")
    features = pool.needed("features", "uncertain_and_different")
    rows = np.sort(np.argsort(-uncertainty, kind="stable")[: factor * batch.budget])
    their_features = np.asarray(features[rows])
    few = Pool(
        [pool.ids[row] for row in rows],
        features=their_features,
        labeled=pool.labeled,
        patients=None if pool.patients is None else [pool.patients[row] for row in rows],
        regions=None if pool.regions is None else pool.regions[rows],
        what=pool.what,
    )
    inner = replace(batch, pool=few, picks=[])  # keeps the distance of near-duplicates
    offer_farthest(their_features, few, inner)
    for pick in inner.picks:
        row = int(rows[pick.index])
        batch.offer(row, pick.score, f"uncertainty {uncertainty[row]:.3g}, {pick.reason}")
    batch.offer_ranked(uncertainty, "uncertainty {score:.3g}, the next that may be chosen")
    return batch.done()


def noisy_logarithm(values: np.ndarray, beta: float, draw: Draw, purpose: str) -> np.ndarray:
    """ln of values, with Gumbel noise of scale 1 / beta; of 0 it stays minus infinity."""
    noise = draw.generator(purpose).gumbel(0, 1 / beta, np.shape(values))
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(values, np.float64)) + noise
