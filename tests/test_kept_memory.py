"""Where glibc takes a large block from, and whether the process keeps it when it is freed, as its own counters tell."""

from __future__ import annotations

import ctypes
import platform

import pytest
import torch

from mednoisy.kept_memory import kept_memory

SIZE = 96 * 2**20  # bytes of a tensor; above the 32 MB from which glibc may ask the system for each block

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


def test_large_blocks_stay_until_the_end():
    before = counters()
    with kept_memory():
        tensor = torch.ones(SIZE // 4)
        assert counters().hblkhd <= before.hblkhd
        del tensor
        assert counters().arena >= SIZE
    assert counters().arena < before.arena + SIZE  # given back


def test_within_another_the_outer_one_keeps_on():
    """A training that validates keeps its memory."""
    with kept_memory():
        with kept_memory():
            pass
        before = counters()
        tensor = torch.ones(SIZE // 4)
        assert counters().hblkhd <= before.hblkhd
        del tensor
        assert counters().arena >= SIZE


@pytest.mark.parametrize("fault", [None, KeyError])
def test_afterwards_each_large_block_is_the_system_s_again(fault):
    if fault is None:
        with kept_memory():
            pass
    else:
        with pytest.raises(fault), kept_memory():
            raise fault
    before = counters()
    tensor = torch.ones(SIZE // 4)
    assert counters().hblkhd >= before.hblkhd + SIZE
    del tensor
    assert counters().hblkhd <= before.hblkhd
