from __future__ import annotations

import numpy as np
import pytest

from mednoisy.evaluation.distance_summaries import percentile_95, summarise_distances
from mednoisy.evaluation.surface_distances import DirectedDistances


def gamma(size, seed=0):
    return np.random.Generator(np.random.PCG64([seed, size])).gamma(2, 3, size)


@pytest.mark.parametrize("size", [1, 2, 3, 20, 21, 1000, 4097])
def test_the_percentile_is_numpy_s(size):
    values = gamma(size)
    assert percentile_95(values, size) == pytest.approx(np.percentile(values, 95), rel=1e-14)
    twentieth = np.sort(values)[-(size // 20 + 2) :]
    assert percentile_95(twentieth, size) == percentile_95(values, size)


@pytest.mark.parametrize("zeros", [0, 1, 18, 19, 20, 400])
def test_what_is_left_out_of_the_percentile_counts_as_zero(zeros):
    values = gamma(20)
    expected = np.percentile(np.append(values, np.zeros(zeros)), 95)
    assert percentile_95(values, zeros + 20) == pytest.approx(expected, rel=1e-14)


def test_the_percentile_of_zeros_alone_is_zero():
    assert percentile_95(np.empty(0), 7) == 0


@pytest.mark.parametrize(("sizes", "shared"), [((3000, 40), 0), ((3000, 3000), 100), ((900, 0), 9000), ((0, 0), 5)])
@pytest.mark.parametrize("ties", [False, True])
def test_summaries_tell_what_all_distances_tell(sizes, shared, ties):
    """Read in blocks, in rising order as well, so that the largest kept change all the time."""
    values = [np.sort(gamma(size, seed=3)) for size in sizes]
    if ties:
        values = [np.ceil(part) for part in values]
    limit = 4.0
    found = summarise_distances(
        *(DirectedDistances(shared, part.size, iter(np.array_split(part, 37))) for part in values), limit
    )
    everything = [np.append(np.zeros(shared), part) for part in values]
    for summary, all_of_it in zip(
        (*found, found[0].pooled(found[1])), (*everything, np.concatenate(everything)), strict=True
    ):
        if all_of_it.size:
            assert summary.percentile_95() == pytest.approx(np.percentile(all_of_it, 95), rel=1e-14)
            assert summary.mean() == pytest.approx(all_of_it.mean(), rel=1e-13)
            assert summary.maximum() == all_of_it.max()
            assert (summary.count, summary.within) == (all_of_it.size, np.count_nonzero(all_of_it <= limit))


def test_a_summary_holds_little_more_than_the_largest_twentieth_of_both():
    forth, back = (DirectedDistances(0, 10_000, iter(np.array_split(gamma(10_000), 100))) for _ in range(2))
    assert all(1000 <= summary.largest.size <= 2002 for summary in summarise_distances(forth, back, 1.0))
