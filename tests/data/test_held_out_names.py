"""Who is held out as labels come in."""

from __future__ import annotations

import random

from mednoisy.data.held_out_names import held_out_of_few, is_held_out

NAMES = [f"s{number}" for number in range(40)]


def test_nothing_is_held_out_that_a_network_before_could_learn_from():
    """Labels come in any order, one or more between two trainings; a network without a figure is never served."""
    for seed in range(200):
        draw = random.Random(seed)
        order = draw.sample(NAMES, len(NAMES))
        learned: set[str] = set()
        count = 0
        while count < len(order):
            count += draw.randint(1, 3)
            names = order[:count]
            held = held_out_of_few(names)
            assert not held & learned, (seed, names)
            if held:
                learned |= {*names} - held


def test_one_of_five_is_held_out_for_good_and_one_stands_in():
    many = {name for name in NAMES if is_held_out(name)}
    assert 4 <= len(many) <= 12
    assert held_out_of_few(NAMES) == many
    others = [name for name in NAMES if name not in many]
    assert len(held_out_of_few(others[:2])) == 1
    assert held_out_of_few(others[:1]) == set()
    assert held_out_of_few(sorted(many)) == set()
