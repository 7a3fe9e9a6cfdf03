"""VICReg against its formula, worked out by hand and written out once more."""

from __future__ import annotations

import math

import pytest
import torch

from mednoisy.losses.invariance import vicreg


def test_terms_by_hand():
    """Three samples of two features that move together: (0, 0), (1, 2), (2, 4) and views shifted by 1.

    Deviations are 1 and 2, so no deviation is missing but for the constant under the root; the covariance is 2 in both
    views, its square stands twice in each matrix: 2 x 4 / 2 features = 4 a view.
    """
    first = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    found = vicreg(first, first + 1)
    assert found.invariance.item() == pytest.approx(1)
    assert found.variance.item() == 0
    assert found.covariance.item() == pytest.approx(8)


def test_collapsed_features_miss_a_deviation_of_one():
    constant = torch.ones(5, 3)
    found = vicreg(constant, constant)
    assert found.variance.item() == pytest.approx(1 - math.sqrt(1e-4))
    assert (found.invariance.item(), found.covariance.item()) == (0, 0)


def test_terms_equal_the_sums_of_the_paper():
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(2, 17, 6, generator=generator) / 2
    invariance = sum(float((a - b).square().sum()) for a, b in zip(first, second, strict=True)) / (17 * 6)
    variance = covariance = 0.0
    for view in (first, second):
        mean = view.sum(dim=0) / 17
        matrix = [
            [float(((view[:, i] - mean[i]) * (view[:, j] - mean[j])).sum()) / 16 for j in range(6)] for i in range(6)
        ]
        variance += sum(max(0.0, 1 - math.sqrt(matrix[i][i] + 1e-4)) for i in range(6)) / 6 / 2
        covariance += sum(matrix[i][j] ** 2 for i in range(6) for j in range(6) if i != j) / 6
    found = vicreg(first, second)
    assert [term.item() for term in found] == pytest.approx([invariance, variance, covariance], rel=1e-5)


def test_terms_are_in_full_precision_whatever_they_are_given():
    views = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = vicreg(views, views)
    assert all(term.dtype == torch.float32 for term in found)
    assert found == vicreg(views.float(), views.float())


@pytest.mark.parametrize("shapes", [((1, 3), (1, 3)), ((4, 3), (4, 2)), ((4, 3, 2), (4, 3, 2))])
def test_views_that_are_no_samples_of_features(shapes):
    with pytest.raises(ValueError, match=r"both must be \(N, D\) with N >= 2"):
        vicreg(*map(torch.zeros, shapes))
