"""How far two predictions for the same image are apart."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from mednoisy.losses.segmentation import DiceKind, dice_loss, full_precision

ConfidentLoss = DiceKind | Literal["ce"]
_NO_VOXEL = 1e-16  # added to counts of voxels, so that an empty region gives 0


def squared_gap(logits: Tensor, target_probabilities: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean squared difference between a prediction and a fixed target, over voxels and classes.

    Args:
        logits: (B, K, *S).
        target_probabilities: (B, K, *S), the teacher's; no gradient flows into them.
        where: (B, *S), bool, the voxels that count; all by default.

    Returns:
        A scalar in 0..1; 0 with zero gradient for an empty batch or region.

    Source: Tarvainen and Valpola 2017, the consistency cost, on softmax outputs as in SSL4MIS; with `where` that of
    Yu et al. 2019 (UA-MT), `sum(where * sum_c gap) / (K * sum(where))`.

    Examples:
        >>> import torch
        >>> squared_gap(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [0.0]]])).item()  # (0.5 - 1)^2 and (0.5 - 0)^2
        0.25
    """
    gap = (F.softmax(full_precision(logits), dim=1) - target_probabilities.detach()).square()
    if where is None:
        return gap.sum() / max(gap.numel(), 1)
    return (gap * where.unsqueeze(1)).sum() / (gap.shape[1] * where.sum() + _NO_VOXEL)


def confident_loss(logits: Tensor, labels: Tensor, confident: Tensor, kind: ConfidentLoss = "batch_squared") -> Tensor:
    """How far a prediction is from hard labels, where these are confident.

    A kind of Dice takes its sums over the confident voxels, with s = 1e-5. "ce" is the sum of their cross-entropies
    divided by the number of all voxels, so few confident voxels weigh little.

    Args:
        logits: (B, K, *S).
        labels: (B, *S), int64.
        confident: (B, *S), bool.
        kind: see `dice_loss`, or "ce".

    Returns:
        A scalar; 0 with zero gradient where nothing is confident.

    Source: Yang et al. 2023 (UniMatch): squared Dice in the medical code, cross-entropy on natural images.

    Examples:
        >>> import torch
        >>> logits, labels = torch.zeros(1, 2, 4), torch.tensor([[0, 1, 1, 0]])
        >>> confident = torch.tensor([[True, False, False, False]])
        >>> round(confident_loss(logits, labels, confident, "ce").item(), 4)  # ln 2 of one voxel in four
        0.1733
    """
    if kind != "ce":
        return dice_loss(logits, labels, kind, confident, smooth=1e-5)
    per_voxel = F.cross_entropy(full_precision(logits), labels, reduction="none")
    return (per_voxel * confident).sum() / max(confident.numel(), 1)
