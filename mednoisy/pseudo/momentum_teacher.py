"""A network's running average, as a teacher."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn


class MomentumTeacher(nn.Module):
    """A copy of a network that follows it slowly: teacher <- decay * teacher + (1 - decay) * student.

    Its parameters take no gradients. It starts equal to the network.

    Args:
        network: the student; it is copied, not kept.
        decay: a in [0, 1]; .99 in BCP, SDCL and UA-MT.
        warm_start: use min(1 - 1/(number + 1), decay), so that the first update copies the student (UA-MT,
            SSL4MIS).
        buffers: average the batch norm statistics too (BCP and SDCL on ACDC), and their counters in whole
            numbers. The other published recipes leave them alone, which needs `mode="train"`: a teacher in
            evaluation mode would keep the statistics of its start.
        mode: what the teacher is in while the method trains. "train" is what all the published codes do: dropout
            is active and batch norm takes the batch's statistics. When the method is in evaluation mode the
            teacher is too.
        into: takes the copy's weights and is the copy, so that a later stage can start from it; by default the
            network is copied.

    Examples:
        >>> student = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.zeros_(student.weight)
        >>> teacher = MomentumTeacher(student, decay=0.9)
        >>> _ = nn.init.ones_(student.weight)
        >>> teacher.follow(student, number=0)
        >>> round(teacher(torch.ones(1)).item(), 4)  # 0.9 * 0 + 0.1 * 1
        0.1
    """

    def __init__(
        self,
        network: nn.Module,
        decay: float = 0.99,
        warm_start: bool = False,
        buffers: bool = True,
        mode: Literal["eval", "train"] = "eval",
        into: nn.Module | None = None,
    ):
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}; it must lie in 0..1")
        if mode not in ("eval", "train"):
            raise ValueError(f"mode is {mode!r}; it must be 'eval' or 'train'")
        if into is None:
            into = copy.deepcopy(network)
        else:
            into.load_state_dict(network.state_dict())
        self.network = into.requires_grad_(False)
        self.decay, self.warm_start, self.buffers_too, self.mode = decay, warm_start, buffers, mode
        self.train(self.training)

    def train(self, mode: bool = True) -> MomentumTeacher:
        """Set training mode; the copy itself follows only where `mode="train"` was chosen."""
        super().train(mode)
        self.network.train(mode and self.mode == "train")
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The copy's output, without gradient."""
        return self.network(images)

    @torch.no_grad()
    def follow(self, student: nn.Module, number: int) -> None:
        """Move towards `student`.

        Args:
            student: a network with the same parameters in the same order.
            number: updates done before this one, from 0; only a warm start asks for it.
        """
        share = 1 - (min(1 - 1 / (number + 1), self.decay) if self.warm_start else self.decay)
        torch._foreach_lerp_(list(self.network.parameters()), list(student.parameters()), share)
        if not self.buffers_too:
            return
        for mine, theirs in zip(self.network.buffers(), student.buffers(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, share)
            else:  # as in the reference: averaged in float32 and cut to a whole number
                mine.copy_((1 - share) * mine.float() + share * theirs.float())
