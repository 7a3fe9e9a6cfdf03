"""All randomness from (seed, stream, number, purpose)."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import torch

from mednoisy.data.counter_based_random import Draw


def test_a_key_is_the_hash_of_its_fields():
    wanted = hashlib.blake2b(b"3/training/labeled/7/crop", digest_size=16).digest()
    assert Draw(3, "training/labeled", 7).key("crop") == int.from_bytes(wanted, "little")
    assert 0 <= Draw(3, "s", 7).key(bits=32) < 2**32


def test_every_field_counts():
    draws = [Draw(0, "a", 0), Draw(1, "a", 0), Draw(0, "b", 0), Draw(0, "a", 1)]
    keys = [draw.key(purpose) for draw in draws for purpose in ("", "crop")]
    assert len(set(keys)) == len(keys)


def test_generators_are_fresh_and_equal_in_any_process():
    draw = Draw(5, "stream", 11)
    numbers = draw.generator("box").integers(0, 1000, 5).tolist()
    noise = draw.torch_generator("noise")
    values = torch.rand(3, generator=noise).tolist()
    assert draw.generator("box").integers(0, 1000, 5).tolist() == numbers
    code = (
        "import torch; from mednoisy.data.counter_based_random import Draw; draw = Draw(5, 'stream', 11)\n"
        "print(draw.generator('box').integers(0, 1000, 5).tolist())\n"
        "print(torch.rand(3, generator=draw.torch_generator('noise')).tolist())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == f"{numbers}\n{values}\n"


def test_neighbouring_draws_are_independent():
    """Means of 4,000 uniform numbers, one a draw, and of products of neighbours: within five standard errors."""
    values = np.array([Draw(0, "s", number).generator().uniform() for number in range(4000)])
    assert abs(values.mean() - 1 / 2) < 5 * (1 / 12 / 4000) ** 0.5
    assert abs((values[1:] * values[:-1]).mean() - 1 / 4) < 5 * (7 / 144 / 4000) ** 0.5


def test_a_draw_changes_no_global_state():
    state = torch.get_rng_state()
    Draw(0, "s", 0).torch_generator("noise")
    assert torch.equal(torch.get_rng_state(), state)
