"""`mednoisy` as torchrun starts it in `test_resume_by_folder.py`: rank 1 is killed in a step, the first time."""

from __future__ import annotations

import os
import signal
import sys

from mednoisy.cli import main
from mednoisy.methods.sdcl import SDCL

DIES_IN = 2  # step of self-training


def main_with_a_death() -> int:
    losses = SDCL.losses

    def losses_or_death(self, batch, step):
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first and os.environ["RANK"] == "1" and step.number == DIES_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses(self, batch, step)

    SDCL.losses = losses_or_death
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main_with_a_death())
