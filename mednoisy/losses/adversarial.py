"""What a discriminator and a generator learn from the discriminator's scores: high for what is real.

Each function is one side's whole term. Scores may have any shape; means are over all of them, in 32 bits.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mednoisy.losses.segmentation import full_precision


def least_squares_judging(real: Tensor, generated: Tensor) -> Tensor:
    """How far scores are from 1 for what is real and from 0 for what is generated: 0 at best, 1/4 where all are 1/2.

    Half the mean squared differences of each.

    Source: Mao et al. 2017, arXiv:1611.04076, equation 9 with a = 0 and b = 1.

    Examples:
        >>> import torch
        >>> least_squares_judging(torch.tensor([1.0, 0.5]), torch.tensor([0.5, 0.0]))
        tensor(0.1250)
    """
    return ((full_precision(real) - 1).square().mean() + full_precision(generated).square().mean()) / 2


def least_squares_fooling(generated: Tensor) -> Tensor:
    """How far scores of what is generated are from 1: the mean squared difference, 0 at best.

    Source: as `least_squares_judging`, with c = 1; without the factor 1/2, which released code leaves out.

    Examples:
        >>> import torch
        >>> least_squares_fooling(torch.tensor([1.0, 0.5]))
        tensor(0.1250)
    """
    return (full_precision(generated) - 1).square().mean()


def loss_sensitive_judging(real: Tensor, generated: Tensor, gaps: Tensor, weight: float = 1.0) -> Tensor:
    """How far real scores are from 1, and how much they lack to exceed the generated ones by a margin; 0 at best.

    A score s stands for the paper's loss 1 - s, so that with scores in 0..1 losses are never negative, as it wants.

    Args:
        real, generated: (B,), scores in 0..1 of an image and of what was generated in its place.
        gaps: (B,), the margins: how far each pair is apart, from 0 on.
        weight: of what margins lack; the paper's lambda.

    Source: Qi 2020, arXiv:1701.06264.

    Examples:
        >>> import torch
        >>> real, generated = torch.tensor([0.75]), torch.tensor([0.5])
        >>> loss_sensitive_judging(real, generated, torch.tensor([0.5]))  # 0.25, and 0.25 are lacking
        tensor(0.5000)
    """
    real, generated = full_precision(real), full_precision(generated)
    lacking = functional.relu(full_precision(gaps) + generated - real)
    return (1 - real).mean() + weight * lacking.mean()


def loss_sensitive_fooling(generated: Tensor) -> Tensor:
    """The mean loss 1 - s of what is generated; 0 at best for scores in 0..1.

    Source: as `loss_sensitive_judging`.

    Examples:
        >>> import torch
        >>> loss_sensitive_fooling(torch.tensor([1.0, 0.5]))
        tensor(0.2500)
    """
    return (1 - full_precision(generated)).mean()
