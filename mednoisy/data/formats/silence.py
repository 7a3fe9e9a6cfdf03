"""Nothing on stderr, and no other locale, for a library that reads."""

from __future__ import annotations

import locale
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_stderr_in_use = Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing on stderr within the block, from C and C++ included: MetaIO and libtiff know no other way to complain.

    The redirection holds for the whole process, hence the lock; the blocks are kept as short as a reading.
    """
    with _stderr_in_use, open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def kept_locale() -> Iterator[None]:
    """The process's locale is afterwards as before: GDCM leaves one in which Python opens text files as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)
