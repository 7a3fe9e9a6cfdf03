"""VICReg's three terms: two views of one thing are alike, and features neither collapse nor repeat each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mednoisy.losses.segmentation import full_precision

SMALLEST_VARIANCE = 1e-4  # added under the root, whose slope at 0 is infinite


class VICReg(NamedTuple):
    """The terms, each a scalar that is 0 at best; published weights are 25, 25 and 1.

    Attributes:
        invariance: mean squared difference of the views.
        variance: how far the deviation of each feature over the samples stays below 1, mean over features and views.
        covariance: sum of the squared covariances of different features over their number, of both views together.
    """

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def vicreg(first: Tensor, second: Tensor) -> VICReg:
    """The terms for two views of the same samples.

    Args:
        first, second: (N, D), row by row of the same sample; N from 2 on. Computed in 32 bits.

    Raises:
        ValueError: another shape, or a single sample, of which nothing varies.

    Source: Bardes, Ponce and LeCun 2022, arXiv:2105.04906, equations 1 to 5, divisors as in the released code.

    Examples:
        Equal views of two features that differ by 2 and are independent over four samples: every term is 0.

        >>> views = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> [term.item() for term in vicreg(views, views)]
        [0.0, 0.0, 0.0]
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(f"views are {tuple(first.shape)} and {tuple(second.shape)}; both must be (N, D) with N >= 2")
    first, second = full_precision(first), full_precision(second)
    variance = (_missing_deviation(first) + _missing_deviation(second)) / 2
    return VICReg(functional.mse_loss(first, second), variance, _shared(first) + _shared(second))


def _missing_deviation(features: Tensor) -> Tensor:
    return functional.relu(1 - (features.var(dim=0) + SMALLEST_VARIANCE).sqrt()).mean()


def _shared(features: Tensor) -> Tensor:
    samples, width = features.shape
    centred = features - features.mean(dim=0)
    with torch.autocast(features.device.type, enabled=False):  # it would take products in 16 bits
        covariance = centred.T @ centred / (samples - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / width
