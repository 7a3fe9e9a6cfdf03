"""Weights that change while a stage runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mednoisy.methods.method import Step

Weight = float | Callable[[Step], float]  # constant, or a function of where the stage stands


def weight_at(weight: Weight, step: Step) -> float:
    """The value of a constant or changing weight in this step."""
    return weight(step) if callable(weight) else weight


def sigmoid_ramp(now: float, length: float) -> float:
    """exp(-5 (1 - t/length)^2) with t = `now` held in [0, length]: from .0067 to 1; 1 if length is 0.

    Source: Laine and Aila 2017; used by UA-MT and SSL4MIS.
    """
    if length == 0:
        return 1.0
    return math.exp(-5 * (1 - min(max(now, 0.0), length) / length) ** 2)


@dataclass(frozen=True)
class Ramp:
    """`to` times a sigmoid ramp over shares of a stage, so that it keeps its shape at any number of steps.

    The defaults are those of SSL4MIS' mean teacher (0 before step 1,000, full at step 30,000, the last of the
    stage), as shares and without its stairs of 150 steps.

    Attributes:
        to: the value at the end.
        zero_before: share of the stage, 0..1, before which the value is 0.
        full_at: share of the stage at which `to` is reached.
    """

    to: float = 0.1
    zero_before: float = 1 / 30
    full_at: float = 1.0

    def __call__(self, step: Step) -> float:
        share = step.number / step.length
        return 0.0 if share < self.zero_before else self.to * sigmoid_ramp(share, self.full_at)


@dataclass(frozen=True)
class StepRamp:
    """The same ramp in steps, whatever the length of the stage, in stairs, as published.

    `to * sigmoid_ramp(number // stair, stairs)`, 0 before step `zero_before`.

    Attributes:
        to: the value at the end.
        stairs: how many stairs lead to it: 200 in SSL4MIS, 40 in UA-MT.
        stair: steps per stair.
        zero_before: first step whose value is not 0: 1,000 in SSL4MIS' mean teacher, 0 in UA-MT.
    """

    to: float = 0.1
    stairs: int = 200
    stair: int = 150
    zero_before: int = 1000

    def __call__(self, step: Step) -> float:
        return 0.0 if step.number < self.zero_before else self.to * sigmoid_ramp(step.number // self.stair, self.stairs)
