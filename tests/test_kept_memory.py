"""Where glibc takes a large block from, and whether the process keeps it when it is freed, as its own counters tell.

Each in a process of its own: a heap with history may hold a free piece that is large enough.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mednoisy.kept_memory import kept_memory

SIZE = 96 * 2**20  # bytes of an array; above the 32 MB from which glibc may ask the system for each block
ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they do")


class Counters(ctypes.Structure):
    """glibc's `struct mallinfo2`; `arena`: bytes of the heap, `hblkhd`: of blocks taken from the system one by one."""

    _fields_ = [
        ("arena", ctypes.c_size_t),
        ("free_chunks", ctypes.c_size_t * 2),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 5),
    ]


def counters() -> Counters:
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Counters
    return ask()


def block() -> np.ndarray:
    return np.ones(SIZE, np.uint8)


def large_blocks_stay_until_the_end() -> None:
    before = counters()
    with kept_memory():
        array = block()
        assert counters().hblkhd <= before.hblkhd
        del array
        assert counters().arena >= SIZE
    assert counters().arena < before.arena + SIZE  # given back


def within_another_the_outer_one_keeps_on() -> None:
    """A training that validates keeps its memory."""
    with kept_memory():
        with kept_memory():
            pass
        before = counters()
        array = block()
        assert counters().hblkhd <= before.hblkhd
        del array
        assert counters().arena >= SIZE


def afterwards_each_large_block_is_the_system_s_again() -> None:
    with kept_memory():
        pass
    taken_one_by_one()


def after_a_fault_too() -> None:
    with pytest.raises(KeyError), kept_memory():
        raise KeyError
    taken_one_by_one()


def taken_one_by_one() -> None:
    before = counters()
    array = block()
    assert counters().hblkhd >= before.hblkhd + SIZE
    del array
    assert counters().hblkhd <= before.hblkhd


@pytest.mark.parametrize(
    "fact",
    [
        large_blocks_stay_until_the_end,
        within_another_the_outer_one_keeps_on,
        afterwards_each_large_block_is_the_system_s_again,
        after_a_fault_too,
    ],
)
def test_in_a_fresh_process(fact):
    code = f"from tests.test_kept_memory import {fact.__name__}; {fact.__name__}()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
