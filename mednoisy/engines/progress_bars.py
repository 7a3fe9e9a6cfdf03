"""Progress bars for a terminal, and lines now and then where the output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 20


class Lines(tqdm):
    """A bar whose every state is a line of its own."""

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        """What writes a state; an empty one, which would wipe a bar, is left out."""

        def write(state: str) -> None:
            if state.strip():
                file.write(state + "\n")
                file.flush()

        return write


def bar(**options: Any) -> tqdm:
    """A progress bar on stderr; arguments as of `tqdm`."""
    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, mininterval=0.5, **options)
    return Lines(mininterval=SECONDS_BETWEEN_LINES, file=sys.stderr, **options)
