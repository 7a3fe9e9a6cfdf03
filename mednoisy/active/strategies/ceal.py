"""CEAL's three kinds of cases: sure ones, unsure ones and some in between."""

from __future__ import annotations

import numpy as np

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw

SUREST, MOST_UNSURE = 10 / 35, 10 / 35  # of a query of 35; the other 15 lie in between
TOP = 5 / 80  # of the range of uncertainty from which the most unsure are drawn


def ceal(pool: Pool, batch: Batch, draw: Draw) -> list[Pick]:
    """Two sevenths of the lowest uncertainty, where perhaps nothing was detected, two of the highest, the rest drawn
    from between (Górriz et al., 2017, arXiv:1711.09168).

    The released code sets limits of bins by hand for its 1,000 pictures; here "in between" is what is neither among
    the lowest nor in the top sixteenth of the range.
    """
    uncertainty = pool.needed("uncertainty", "ceal")
    order = np.argsort(uncertainty, kind="stable")
    lowest, highest = round(SUREST * batch.budget), round(MOST_UNSURE * batch.budget)
    limit = uncertainty.max() - TOP * (uncertainty.max() - uncertainty.min())
    between = draw.generator("between").permutation(np.flatnonzero(uncertainty < limit))
    _some(batch, order, lowest, uncertainty, "lowest uncertainty")
    _some(batch, order[::-1], highest, uncertainty, "highest uncertainty")
    _some(batch, between, batch.budget, uncertainty, "drawn from between")
    batch.offer_ranked(uncertainty, "uncertainty {score:.3g}")
    return batch.done()


def _some(batch: Batch, rows: np.ndarray, count: int, uncertainty: np.ndarray, reason: str) -> None:
    taken = 0
    for row in rows:
        if taken == count or batch.full:
            return
        taken += batch.offer(row, uncertainty[row], f"{reason}, {uncertainty[row]:.3g}")
