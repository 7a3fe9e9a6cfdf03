"""Random cases that are drawn by how much foreground they show: nnActive's baselines, and one that is no oracle."""

from __future__ import annotations

import numpy as np

from mednoisy.active.pool import Batch, Pick, Pool
from mednoisy.data.counter_based_random import Draw


def foreground_random(pool: Pool, batch: Batch, draw: Draw, *, share: float) -> list[Pick]:
    """A `share` of the draws goes by foreground, the others by chance (Lüth et al., TMLR 2025, arXiv:2511.19183).

    A draw by foreground takes a class uniformly among those that any case left shows, then a case with the
    probability of its voxels of that class: as if a voxel of the class were drawn and its case opened. With the true
    labels of the pool as `foreground` it is an oracle that no annotator has; with predicted ones it is not.

    Args:
        share: 1/3 or 2/3 in the paper.
    """
    voxels = np.asarray(pool.needed("foreground", "foreground-aware random"), np.float64)
    generator = draw.generator("foreground")
    left = list(generator.permutation(len(pool.ids)))
    while left and not batch.full:
        counts = voxels[left]
        shown = np.flatnonzero(counts.sum(axis=0))
        if shown.size and generator.random() < share:
            of_class = counts[:, generator.choice(shown)]
            place = int(generator.choice(len(left), p=of_class / of_class.sum()))
            reason = "drawn by its foreground"
        else:
            place, reason = 0, "drawn at random"
        index = left.pop(place)
        if batch.offer(index, float(voxels[index].sum()), reason) and batch.clashes is not None:
            left = [row for row in left if batch.clashes.open[row]]
    return batch.done()
