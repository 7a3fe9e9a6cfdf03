"""How steps are split over stages, and learning rates over steps."""

from __future__ import annotations

import pytest

from mednoisy.engines.learning_rates import Constant, Drops, Polynomial
from mednoisy.engines.stages import split_steps
from mednoisy.errors import UserError


@pytest.mark.parametrize(
    ("total", "shares", "wanted"),
    [
        (14200, [3200, 11000], [3200, 11000]),
        (600, [3200, 11000], [135, 465]),  # 135.2 and 464.8
        (10, [1], [10]),
        (10, [1, 1, 1], [4, 3, 3]),
        (11, [1, 1, 1], [4, 4, 3]),
        (2, [3200, 11000], [1, 1]),
        (3, [1000, 1, 1], [1, 1, 1]),
        (5, [1, 1000, 1], [1, 3, 1]),
        (7, [0.5, 0.25, 0.25], [3, 2, 2]),  # 3.5, 1.75, 1.75
    ],
)
def test_steps_are_split_in_the_ratio_of_the_shares(total, shares, wanted):
    assert split_steps(total, shares) == wanted


@pytest.mark.parametrize("total", range(4, 60))
def test_parts_add_up_and_none_is_empty(total):
    parts = split_steps(total, [1, 7, 0.1, 30])
    assert sum(parts) == total
    assert min(parts) >= 1


def test_fewer_steps_than_stages_are_refused():
    with pytest.raises(UserError, match=r"E110 1 steps for 2 stages. Use --steps 2 or more"):
        split_steps(1, [1, 1])


def test_constant_rises_then_stays():
    assert [Constant()(step, 10) for step in (0, 9)] == [1, 1]
    assert [Constant(warmup=3)(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]


def test_polynomial_decays_to_nothing_after_the_last_step():
    linear = Polynomial(power=1)
    assert [linear(step, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert Polynomial()(50, 100) == pytest.approx(0.5**0.9)
    assert Polynomial(power=1, warmup=1)(0, 4) == 0.5


@pytest.mark.parametrize("length", [6, 49, 98, 6000, 14200])
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 49])
def test_drops_come_exactly_after_each_share(length, parts):
    """A share of 1 / parts gives drops at the first step at or after each multiple of length / parts."""
    for multiple in range(1, parts):
        step = -(-multiple * length // parts)
        reached = step * parts // length
        assert Drops(1 / parts)(step, length) == pytest.approx(0.1**reached, rel=1e-9)
        assert (
            Drops(1 / parts)(step - 1, length) > Drops(1 / parts)(step, length) * 5
            or (step - 1) * parts // length == reached
        )


def test_drops_of_bcp_on_the_atrium():
    """Every 2,500 of 15,000 steps."""
    factors = [Drops(2500 / 15000)(step, 15000) for step in (0, 2499, 2500, 5000, 14999)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01, 1e-5])
