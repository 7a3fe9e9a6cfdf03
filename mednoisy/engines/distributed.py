"""Which of several training processes this one is, and waiting for the others."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn

from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.methods.method import Method

GLOO_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")  # it raises RuntimeErrors


def rank_and_ranks() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def join_processes() -> None:
    """Join the processes that torchrun has started, over NCCL with GPUs, over gloo without.

    What they tell one another goes by the number of the restart: torchrun's store outlives restarts (torch 2.13), and
    a process that reads there where one that has died was listening waits for it for half an hour.
    """
    store, rank, ranks = next(dist.rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=dist.PrefixStore(f"attempt_{attempt}", store), rank=rank, world_size=ranks)


def wait_for_all() -> None:
    """Go on when every process has come here; nothing where there is one."""
    if rank_and_ranks()[1] > 1:
        dist.barrier()


def lost_process(fault: Exception, step: int) -> UserError | None:
    """What to tell where `fault` came from waiting for a process that has died; None where it did not.

    With NCCL there may be nothing to tell it by: torchrun then ends the processes that wait.
    """
    if rank_and_ranks()[1] == 1:
        return None
    if not (isinstance(fault, dist.DistError) or any(words in str(fault) for words in GLOO_LOST)):
        return None
    return UserError(
        "E376",
        f"another process of this run ended in or after step {step}",
        "Its own message says why; go on with --resume, or let torchrun do so with --max-restarts",
        exit_code=DONE_IN_PART,
    )


def with_common_statistics(method: Method, device: torch.device) -> Method:
    """The method with batch norm over the samples of all processes, where there are several and they have GPUs.

    PyTorch knows no such layer for CPUs. Weights, buffers and their names stay as they are.
    """
    if device.type != "cuda" or rank_and_ranks()[1] == 1:
        return method
    return nn.SyncBatchNorm.convert_sync_batchnorm(method)
