"""Learning-rate factors as functions of (step, steps of the stage): stateless, so resuming needs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """1, after a linear rise over the first `warmup` steps."""

    warmup: int = 0

    def __call__(self, step: int, length: int) -> float:
        return _rise(step, self.warmup)


@dataclass(frozen=True)
class Polynomial:
    """(1 - step / length) ** power, times a linear rise over the first `warmup` steps."""

    power: float = 0.9
    warmup: int = 0

    def __call__(self, step: int, length: int) -> float:
        return _rise(step, self.warmup) * (1 - step / length) ** self.power


@dataclass(frozen=True)
class Drops:
    """A division by ten after every `share` of the stage (BCP on the atrium: every 2,500 of 15,000 steps)."""

    share: float

    def __call__(self, step: int, length: int) -> float:
        # The nudge is far below one step; without it a share such as 1 / 49 would drop a step late by rounding.
        return 0.1 ** math.floor(step / (self.share * length) + 1e-9)


def _rise(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))
