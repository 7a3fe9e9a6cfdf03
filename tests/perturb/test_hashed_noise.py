from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from mednoisy.perturb.hashed_noise import hashed_normals

CPU = torch.device("cpu")


def splitmix64(seed: int, count: int) -> list[int]:
    """The published generator, in Python's whole numbers."""
    found, state = [], seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        value = state
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        found.append(value ^ (value >> 31))
    return found


def test_the_reference_of_the_generator_is_the_published_one():
    """The first values for seed 1234567, as the authors' code and other implementations print them."""
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("seed", [0, 1234567, 2**53 - 1])
def test_normals_are_box_and_mullers_of_splitmix64(seed):
    bits = splitmix64(seed, 4)
    radii = [math.sqrt(-2 * math.log(((value >> 40) + 1) / 2**24)) for value in bits]
    angles = [2 * math.pi * (value % 2**24) / 2**24 for value in bits]
    pairs = [*zip(radii, angles, strict=True)]
    expected = [r * math.cos(a) for r, a in pairs] + [r * math.sin(a) for r, a in pairs]
    found = hashed_normals(np.array([seed]), (1, 7), CPU)
    np.testing.assert_allclose(found[0, 0].numpy(), expected[:7], atol=2e-6)


def test_normals_are_normal_and_of_no_pattern():
    fields = hashed_normals(np.arange(4), (1, 250, 401), CPU).numpy()
    for field in fields:
        values = field.ravel()
        assert stats.kstest(values, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.015
    assert np.abs(np.corrcoef(fields.reshape(4, -1)) - np.eye(4)).max() < 0.015
    assert np.abs(fields).max() < 5.8


def test_a_field_depends_on_its_own_seed_alone():
    alone, among = hashed_normals(np.array([5]), (3, 5, 5), CPU), hashed_normals(np.array([9, 5]), (3, 5, 5), CPU)
    assert torch.equal(alone[0], among[1])
    assert not torch.equal(among[0], among[1])
