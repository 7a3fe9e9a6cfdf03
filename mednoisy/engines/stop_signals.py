"""SIGTERM and SIGINT, held back until a step has ended."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist

from mednoisy.engines.distributed import rank_and_ranks
from mednoisy.errors import DONE_IN_PART, UserError


class StopSignals:
    """While active, remembers the last signal in `received` (0: none) instead of letting it end the process."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        try:
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # signals belong to the main thread alone
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop_together(self, step: int, device: torch.device) -> None:
        """Leave between two stages if a signal came to any process; to be called equally often by all of them.

        Nothing is saved: the stage before has been.

        Args:
            step: of the run.
            device: of the processes' tensors.

        Raises:
            UserError: E331.
        """
        received = torch.tensor(self.received, device=device)
        if rank_and_ranks()[1] > 1:
            dist.all_reduce(received, op=dist.ReduceOp.MAX)
        if number := int(received):
            raise stopped(number, step)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def stopped(number: int, step: int) -> UserError:
    """How a run ends that was told to: saved, exit code 1."""
    return UserError(
        "E331",
        f"stopped by {signal.Signals(number).name} after step {step}, which is saved",
        "Go on with --resume",
        exit_code=DONE_IN_PART,
    )
