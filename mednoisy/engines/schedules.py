"""Learning-rate factors as functions of (step, steps of the stage): stateless, so resuming needs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """1, after a linear rise over the first `warmup` steps."""

    warmup: int = 0

    def __call__(self, step: int, length: int) -> float:
        return min(1.0, (step + 1) / (self.warmup + 1))


@dataclass(frozen=True)
class Polynomial:
    """(1 - step / length) ** power, times a linear rise over the first `warmup` steps."""

    power: float = 0.9
    warmup: int = 0

    def __call__(self, step: int, length: int) -> float:
        return min(1.0, (step + 1) / (self.warmup + 1)) * (1 - step / length) ** self.power


@dataclass(frozen=True)
class Drops:
    """A division by ten after every `share` of the stage (BCP on the atrium: every 2,500 of 15,000 steps)."""

    share: float

    def __call__(self, step: int, length: int) -> float:
        return 0.1 ** int(step / (self.share * length))
