"""Several processes of torchrun at one command: of what ends them all, one line is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from mednoisy.errors import DONE_IN_PART, UserError

if TYPE_CHECKING:
    from torch.distributed import Store

PATIENCE = timedelta(seconds=5)  # of those who are silent until the one who tells has told


@contextmanager
def one_voice() -> Iterator[None]:
    """Around a command whose work processes share, see `sharing_processes`: the first that is refused or told to stop
    tells so, and all end. Nothing where there is one process.

    Raises:
        SystemExit: in place of a UserError or KeyboardInterrupt, with its exit code.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:  # set by torchrun
        yield
        return
    from mednoisy.engines.distributed import sharing_processes

    with sharing_processes() as store:
        try:
            yield
        except UserError as fault:
            _tell(store, str(fault))
            raise SystemExit(fault.exit_code) from fault
        except KeyboardInterrupt as fault:
            _tell(store, "interrupted; what was scored is kept, so call the same again")
            raise SystemExit(DONE_IN_PART) from fault


def _tell(store: Store, line: str) -> None:
    """Print a line if no process has printed one; else wait until it has."""
    try:
        if store.add("telling", 1) > 1:
            store.wait(["told"], PATIENCE)
            return
    except RuntimeError:  # nobody is left to agree with
        pass
    print(f"mednoisy: {line}", file=sys.stderr, flush=True)
    try:
        store.set("told", "")
    except RuntimeError:
        return
