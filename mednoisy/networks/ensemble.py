"""Several networks as one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class MeanEnsemble(nn.Module):
    """The logarithm of the mean of the members' softmax: one tensor, whose softmax is exactly that mean.

    So whatever works on logits works on an ensemble. SDCL's deployed prediction is the mean of its two students.

    Attributes:
        members: the networks, each mapping images to logits of the same shape.
    """

    def __init__(self, members: Iterable[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)
        if len(self.members) == 0:
            raise ValueError("an ensemble needs at least one member")
        self.log_count = math.log(len(self.members))

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *spatial) to (B, K, *spatial), natural logarithms of probabilities."""
        # In logarithms throughout, so that a class of vanishing probability keeps a finite value and gradient.
        of_members: list[Tensor] = []
        for member in self.members:
            of_members.append(torch.log_softmax(member(image), dim=1))
        return torch.logsumexp(torch.stack(of_members), dim=0) - self.log_count


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    """Whether all weights are equal; those on the device `meta` have no values that could be."""
    pairs = list(zip(a.parameters(), b.parameters(), strict=False))
    return all(mine.shape == other.shape and not mine.is_meta and torch.equal(mine, other) for mine, other in pairs)
