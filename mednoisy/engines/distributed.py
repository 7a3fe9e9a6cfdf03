"""Which of several training processes this one is, and waiting for the others."""

from __future__ import annotations

import torch.distributed as dist


def rank_and_ranks() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def wait_for_all() -> None:
    """Go on when every process has come here; nothing where there is one."""
    if rank_and_ranks()[1] > 1:
        dist.barrier()
