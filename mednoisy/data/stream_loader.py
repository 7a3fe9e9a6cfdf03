"""Loading the steps of a training stream, ahead in processes of their own where that is asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import Container, Iterator, Sequence
from copy import copy
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mednoisy.child_processes import end_with_parent
from mednoisy.data.batch import Batch
from mednoisy.data.cached_cases import AllImages, CachedCases
from mednoisy.data.training_stream import TrainingStream
from mednoisy.errors import check_whole


class _Steps(Dataset):
    def __init__(self, stream: TrainingStream, arguments: dict[str, Any]):
        self.stream, self.arguments = stream, arguments

    def __getitem__(self, step: int) -> Batch:
        return self.stream.batch(step=step, **self.arguments)


def _leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C and SIGTERM reach the whole process group: a worker leaves without fuss, the parent saves first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    end_with_parent(os.getppid())  # or it would hold the run's lock for a while


class StreamLoader:
    """Loads the steps of a stage, in order, from any step on.

    Args:
        workers: processes that prepare batches ahead; the batches do not depend on their number.
        pin_memory: page-lock batches for an asynchronous copy to a GPU.
    """

    def __init__(self, stream: TrainingStream, workers: int = 0, pin_memory: bool = False):
        check_whole("workers", workers, least=0)
        self.stream, self.workers, self.pin_memory = stream, workers, pin_memory

    def with_labeled(self, labeled: CachedCases) -> StreamLoader:
        """A loader of the same stream over other labeled cases; this one stays as it is."""
        stream = copy(self.stream)
        stream.labeled = labeled
        return StreamLoader(stream, self.workers, self.pin_memory)

    def with_all_images(self, left_out: Container[str] = (), beyond: Sequence[float] | None = None) -> StreamLoader:
        """A loader whose unlabeled section holds the labeled cases too, without their labels; this one stays.

        Args:
            left_out: ids of cases that it does not hold.
            beyond: as of `TrainingStream`; None: as the stream has it.
        """
        stream = copy(self.stream)
        stream.unlabeled = AllImages([self.stream.labeled, *filter(None, [self.stream.listed_unlabeled])], left_out)
        stream.beyond = stream.beyond if beyond is None else beyond
        return StreamLoader(stream, self.workers, self.pin_memory)

    def steps(
        self, stage: str, steps: range, labeled: int, unlabeled: int, rank: int = 0, ranks: int = 1
    ) -> Iterator[Batch]:
        """The batches of `steps` (numbers within the stage)."""
        arguments = {"stage": stage, "labeled": labeled, "unlabeled": unlabeled, "rank": rank, "ranks": ranks}
        loader = DataLoader(
            _Steps(self.stream, arguments),
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            worker_init_fn=_leave_signals_to_parent,
            generator=torch.Generator().manual_seed(0),  # or it would draw from the global generator
        )
        return iter(loader)
