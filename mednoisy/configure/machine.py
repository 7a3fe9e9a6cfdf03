"""What a machine has, as far as it decides how large a network's patch can be. No torch until it is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of containers


@dataclass(frozen=True)
class Speed:
    """How long a training step takes.

    Attributes:
        width: channels of the networks at full resolution.
        precision: "fp32" or "bf16".
        seconds: of a step of SDCL, for a million voxels (or pixels) of its labeled half.
    """

    width: int
    precision: str
    seconds: float


@dataclass(frozen=True)
class Machine:
    """The machine for which a bundle is configured.

    Attributes:
        cores: that this process may use.
        memory_gib: RAM that it may use.
        gpu_gib: memory of its first GPU; None where there is none.
        speeds: what was measured, for networks of as many axes as the images have.
    """

    cores: int
    memory_gib: float
    gpu_gib: float | None = None
    speeds: tuple[Speed, ...] = ()

    @property
    def called(self) -> str:
        """The machine in words."""
        if self.gpu_gib is not None:
            return f"a GPU of {self.gpu_gib:.0f} GiB"
        return f"{self.cores} CPU core{'s' if self.cores > 1 else ''} and {self.memory_gib:.0f} GiB of memory"


def this_machine() -> Machine:
    """Cores and memory that this process may use, and the first GPU; without speeds, see `timing.py`."""
    import torch

    gpu = torch.cuda.get_device_properties(0).total_memory / GIB if torch.cuda.is_available() else None
    return Machine(len(os.sched_getaffinity(0)), _memory_bytes() / GIB, gpu)


def _memory_bytes() -> int:
    """RAM of the machine, or what a container may use of it."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    told = [Path(path).read_text().strip() for path in LIMITS if Path(path).is_file()]
    return min([installed, *(int(limit) for limit in told if limit.isdecimal())])
