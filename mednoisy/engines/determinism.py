"""The same bits each time on a GPU, where some of the fastest algorithms add in whatever order their threads end."""

from __future__ import annotations

import os

import torch


def only_deterministic() -> None:
    """Let torch choose algorithms that give the same bits each time, from now on in this process.

    Where it knows none for an operation it says so once and goes on.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads at its first product
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would fill each new tensor with NaN; torch states the attribute at run time alone.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
