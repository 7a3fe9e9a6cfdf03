"""How far two predictions for the same image are apart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mednoisy.losses.segmentation import full_precision


def squared_gap(logits: Tensor, target_probabilities: Tensor) -> Tensor:
    """Mean squared difference between a prediction and a fixed target, over voxels and classes.

    Args:
        logits: (B, K, *S).
        target_probabilities: (B, K, *S), the teacher's; no gradient flows into them.

    Returns:
        A scalar in 0..1; 0 with zero gradient for an empty batch.

    Source: Tarvainen and Valpola 2017, the consistency cost, on softmax outputs as in SSL4MIS.
    """
    gap = F.softmax(full_precision(logits), dim=1) - target_probabilities.detach()
    return gap.square().sum() / max(gap.numel(), 1)
