"""What a user should know and need not act on at once: one line on stderr, and one in the log where there is one."""

from __future__ import annotations

import logging
import os
import sys

LOGGER = logging.getLogger("mednoisy")


def tell(text: str) -> None:
    """Print one line, as `mednoisy: text`, and log it; of several processes of one run the first one does."""
    if os.environ.get("RANK", "0") != "0":  # set by torchrun
        return
    line = " ".join(text.split())
    print(f"mednoisy: {line}", file=sys.stderr)
    if LOGGER.hasHandlers():
        LOGGER.warning("%s", line)
