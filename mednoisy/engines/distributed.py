"""Which of several training processes this one is."""

from __future__ import annotations

import torch.distributed as dist


def rank_and_ranks() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
