"""Memory that a pass through a network frees, kept for the next one."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # numbers of mallopt's parameters in glibc's malloc.h
NEVER = -1
MMAP_MAX_BLOCKS = 65536  # glibc's default
LARGEST_DYNAMIC = 32 * 2**20  # bytes; to which glibc raises its threshold by itself once such a block was freed

_entered = 0  # how many contexts are open: a training validates, and validation slides windows


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within, freed blocks stay with the process; when the outermost such context ends they go back to the system.

    glibc takes every block above 32 MB from the system and gives it back when it is freed, so each feature map of each
    pass is paged in anew (docs/explanation/performance.md has what that costs). Other C libraries stay as they are.
    """
    global _entered
    library = _glibc()
    if library is None:
        yield
        return
    if _entered == 0:
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, NEVER)
    _entered += 1
    try:
        yield
    finally:
        _entered -= 1
        if _entered == 0:
            library.mallopt(MMAP_MAX, MMAP_MAX_BLOCKS)
            library.mallopt(MMAP_THRESHOLD, LARGEST_DYNAMIC)
            library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC)
            library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
