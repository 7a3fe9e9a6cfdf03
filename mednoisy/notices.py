"""What a user should know and need not act on at once: one line on stderr, and one in the log where there is one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable

LOGGER = logging.getLogger("mednoisy")


MOST_CASES = 3  # of one kind that are told one by one
_cases_of: dict[str, set[str]] = {}  # note, or its kind -> cases of which it was told


def tell_each(notes: Iterable[str], case: str) -> None:
    """Tell what was noticed of a case, once; of notes that many cases share the first few are told."""
    for note in notes:
        tell_of_kind(note, note, case)


def tell_of_kind(kind: str, note: str, case: str) -> None:
    """Tell a note of a kind of which there may be many, each with figures of its own."""
    cases = _cases_of.setdefault(kind, set())
    if case in cases or len(cases) > MOST_CASES:
        return
    cases.add(case)
    more = len(cases) > MOST_CASES
    tell(f"note: case {case!r}: {note}" + (" (further cases of this kind are not told)" if more else ""))


def tell(text: str) -> None:
    """Print one line, as `mednoisy: text`, and log it; of several processes of one run the first one does."""
    if os.environ.get("RANK", "0") != "0":  # set by torchrun
        return
    line = " ".join(text.split())
    print(f"mednoisy: {line}", file=sys.stderr)
    if LOGGER.hasHandlers():
        LOGGER.warning("%s", line)
