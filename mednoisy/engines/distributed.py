"""Which of several training processes this one is, and waiting for the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.methods.method import Method

T = TypeVar("T")
LONGEST_SHARE = timedelta(days=30)  # that a process may work before the others, which wait, give it up
GLOO_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")  # it raises RuntimeErrors


def rank_and_ranks() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class ShareDone(Exception):
    """Raised in all processes but the first when their share of the work is done: the first does the rest alone."""


def processes_started() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join_processes() -> None:
    """Join the processes that torchrun has started, over NCCL with GPUs, over gloo without."""
    store, rank, ranks = _meeting_place()
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks)


def _meeting_place() -> tuple[dist.Store, int, int]:
    """Where processes find one another, this one's number, and how many there are.

    What they tell one another goes by the number of the restart: torchrun's store outlives restarts (torch 2.13), and
    a process that reads there where one that has died was listening waits for it for half an hour.
    """
    store, rank, ranks = next(dist.rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"attempt_{attempt}", store), rank, ranks


@contextmanager
def sharing_processes() -> Iterator[dist.Store]:
    """Around work on cases that the processes of torchrun share: they wait for one another over gloo, GPUs or not.

    Yields:
        What all of them can write to and read from; it outlives each of them.
    """
    store, rank, ranks = _meeting_place()
    dist.init_process_group("gloo", timeout=LONGEST_SHARE, store=store, rank=rank, world_size=ranks)
    try:
        yield store
    finally:
        dist.destroy_process_group()


def device_of_process(device: str | None) -> str | None:
    """What a process computes on where each is to have a GPU of its own: `cuda` and None get its number."""
    if processes_started() == 1 or device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def gathered(value: T) -> list[T]:
    """The value of each process, by rank; to be called by all of them.

    Raises:
        UserError: E561, another process has ended meanwhile.
    """
    ranks = rank_and_ranks()[1]
    if ranks == 1:
        return [value]
    values: list[T] = [value] * ranks
    try:
        dist.all_gather_object(values, value)
    except (RuntimeError, dist.DistError) as fault:
        if not _lost(fault):
            raise
        raise UserError(
            "E561",
            "another process of this query has ended",
            "Its own message says why; what was scored is kept, so call the same again",
            exit_code=DONE_IN_PART,
        ) from fault
    return values


def first_alone() -> None:
    """Let the first process go on alone; the others raise `ShareDone`."""
    if rank_and_ranks()[0] > 0:
        raise ShareDone


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
    if not _lost(fault):
        return None
    return UserError(
        "E376",
        f"another process of this run ended in or after step {step}",
        "Its own message says why; go on with --resume, or let torchrun do so with --max-restarts",
        exit_code=DONE_IN_PART,
    )


def _lost(fault: Exception) -> bool:
    return isinstance(fault, dist.DistError) or any(words in str(fault) for words in GLOO_LOST)


def with_common_statistics(method: Method, device: torch.device) -> Method:
    """The method with batch norm over the samples of all processes, where there are several and they have GPUs.

    PyTorch knows no such layer for CPUs. Weights, buffers and their names stay as they are.
    """
    if device.type != "cuda" or rank_and_ranks()[1] == 1:
        return method
    return nn.SyncBatchNorm.convert_sync_batchnorm(method)
