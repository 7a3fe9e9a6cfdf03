"""What SDCL does where its two students disagree: pull to the label, and raise doubt where a student errs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mednoisy.data.partial_labels import known_codes
from mednoisy.losses.segmentation import full_precision, most_probable, one_hot

_NO_VOXEL = 1e-16  # added to counts of voxels, so that an empty region gives 0


def disagreement(logits_a: Tensor, logits_b: Tensor) -> Tensor:
    """Where the most probable classes of two predictions differ: (B, *S), bool, without gradient.

    Examples:
        >>> import torch
        >>> disagreement(torch.tensor([[[3.0, 0.0], [0.0, 3.0]]]), torch.tensor([[[0.0, 1.0], [1.0, 2.0]]]))
        tensor([[ True, False]])
    """
    return most_probable(logits_a) != most_probable(logits_b)


def squared_gap_to_label(logits: Tensor, labels: Tensor, where: Tensor, weight: Tensor) -> Tensor:
    """Mean over selected voxels of the weighted squared gap between probabilities and label.

    `sum(where * weight * mean_c (p_c - [c = label])^2) / sum(where)`; weights are in the numerator only.

    Args:
        logits: (B, K, *S).
        labels: (B, *S), mixed as the images are; int64, or int16 with `IGNORED` among the codes.
        where: (B, *S), bool, usually the students' `disagreement`; ignored voxels are not selected.
        weight: (*S) or (B, *S), trust in the label, 1 where it is real.

    Returns:
        A scalar; 0 with zero gradient if nothing is selected.

    Source: Song and Wang 2024 (SDCL), minimising the discrepancy.

    Examples:
        >>> import torch
        >>> where, trust = torch.tensor([[True, False]]), torch.tensor([0.5, 1.0])
        >>> squared_gap_to_label(torch.zeros(1, 2, 2), torch.tensor([[1, 1]]), where, trust).item()  # 0.5 * 0.5^2
        0.125
    """
    probabilities = F.softmax(full_precision(logits), dim=1)
    labels, where = known_codes(labels, where)
    gap = (probabilities - one_hot(labels, probabilities)).square().mean(dim=1)
    return (gap * where * weight).sum() / (where.sum() + _NO_VOXEL)


def doubt_where_wrong(logits: Tensor, labels: Tensor, where: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted cross-entropy from the uniform distribution, over selected voxels that this student gets wrong.

    `sum(where * wrong * weight * q) / sum(where * wrong)` with `q = -mean_c ln p_c` in nats, at least ln K, and
    `wrong` where the most probable class is not the label. Minimising it teaches doubt there. The constant ln K
    of the released code is kept (its gradient is that of KL(uniform || p)); the weighted mean may be below ln K.

    Args:
        logits: (B, K, *S).
        labels: (B, *S), mixed as the images are; int64, or int16 with `IGNORED` among the codes.
        where: (B, *S), bool, usually the students' `disagreement`; ignored voxels are not selected.
        weight: (*S) or (B, *S), trust in the label, 1 where it is real.

    Returns:
        A scalar in nats; 0 with zero gradient if no selected voxel is wrong.

    Source: Song and Wang 2024 (SDCL), maximising the entropy of errors.

    Examples:
        Of equal logits the first class is the most probable, so one voxel is wrong; its doubt is ln 2, the least.

        >>> import torch
        >>> where = torch.tensor([[True, True]])
        >>> round(doubt_where_wrong(torch.zeros(1, 2, 2), torch.tensor([[1, 0]]), where, torch.ones(2)).item(), 4)
        0.6931
    """
    logits = full_precision(logits)
    labels, where = known_codes(labels, where)
    doubtful = where & (most_probable(logits) != labels)
    doubt = -F.log_softmax(logits, dim=1).mean(dim=1)
    return (doubt * doubtful * weight).sum() / (doubtful.sum() + _NO_VOXEL)
