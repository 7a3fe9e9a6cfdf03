"""Ramps against the authors' figures."""

from __future__ import annotations

import json

import pytest

from mednoisy.methods.ramp_up import Ramp, StepRamp, sigmoid_ramp, weight_at
from tests.methods.small import step_at


def test_published_values(golden):
    """The sigmoid ramp at every listed step and length, and UA-MT's weight."""
    figures = json.loads(golden("ema.json").read_text())
    for name, values in figures["sigmoid_rampup"].items():
        if name.startswith("length_"):
            for now, expected in values.items():
                assert sigmoid_ramp(int(now), int(name.removeprefix("length_"))) == pytest.approx(expected, rel=1e-12)
    ramp = StepRamp(stairs=40, zero_before=0)
    for number, expected in figures["uamt_consistency_weight"]["iteration"].items():
        assert ramp(step_at(int(number))) == pytest.approx(expected, rel=1e-12)


def test_shares_follow_the_published_steps():
    """Over 30,000 steps both forms agree to a stair; over 300 the share keeps the shape."""
    for number in (0, 999, 1000, 15000, 29999):
        stairs, smooth = StepRamp()(step_at(number, 30000)), Ramp()(step_at(number, 30000))
        assert smooth == pytest.approx(stairs, abs=0.001)
        assert Ramp()(step_at(number // 100, 300)) == pytest.approx(smooth, abs=0.001)
    assert Ramp()(step_at(999, 30000)) == 0 < Ramp()(step_at(1000, 30000))


def test_constant_weights():
    """A plain number is its own ramp."""
    assert weight_at(0.5, step_at()) == 0.5
    assert weight_at(Ramp(to=2.0, full_at=0.5), step_at(50)) == 2.0
