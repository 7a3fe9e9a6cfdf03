"""ClaSP PE: class-stratified predictive entropy with power noise that fades from query to query."""

from __future__ import annotations

import numpy as np

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.active.strategies.uncertainty import noisy_logarithm
from mednoisy.data.counter_based_random import Draw

STRATIFIED = 0.66  # of the budget that is chosen by class
LAST_BETA = 100.0


def clasp_pe(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Two thirds of the budget from the classes in equal shares, the rest from the entropy as a whole
    (arXiv:2601.13677).

    A case's score in a class is the mean over its voxels of entropy times the class's probability, so that a class
    that is never predicted still brings cases. Scores are compared as ln score + Gumbel(0, 1 / beta), with beta =
    100 ** (t / (T - 1)) in query t, from 0, of T trainings. The paper queries boxes of volumes; with whole cases,
    slices or boxes as the pool's rows the rule is the same. Channels take turns in a random order.
    """
    scores = np.asarray(pool.needed("class_uncertainty", "clasp_pe"), np.float64)
    beta = LAST_BETA ** (pool.round / max(pool.rounds - 1, 1))
    noisy = noisy_logarithm(scores, beta, draw, "power")
    classes = scores.shape[1] - 1
    generator = draw.generator("channels")
    quotas = np.zeros(classes + 1, int)
    by_class = int(STRATIFIED * batch.budget) if classes else 0
    quotas[1:] = by_class // max(classes, 1)
    if classes:
        quotas[1 + generator.permutation(classes)[: by_class % classes]] += 1
    quotas[0] = batch.budget - by_class
    for channel in generator.permutation(classes + 1):
        what = f"entropy of class {channel}" if channel else "entropy"
        taken = 0
        for index in np.argsort(-noisy[:, channel], kind="stable"):
            if taken == quotas[channel]:
                break
            reason = f"{what} {scores[index, channel]:.3g}, with noise of beta {beta:.3g}"
            taken += batch.offer(index, noisy[index, channel], reason)
    batch.offer_ranked(noisy[:, 0], "entropy with noise {score:.3g}")
    return batch.done()
