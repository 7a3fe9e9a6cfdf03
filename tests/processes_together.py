"""The command line in several processes at once, as torchrun starts them; forked, so that nothing is imported again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from mednoisy.cli import main


def together(
    words: list[str], folder: Path, before: Callable[[int], None] = lambda rank: None, count: int = 2
) -> tuple[list[int], list[str]]:
    """Exit code of each process (minus the signal that killed it), and why they ended, by their lines on stderr.

    Args:
        before: is called in each process with its rank.
    """
    store = dist.TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
    told = folder / "stderr.txt"
    told.write_text("", encoding="utf-8")
    processes = [_forked(words, rank, count, store.port, told, before) for rank in range(count)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    lines = told.read_text(encoding="utf-8").splitlines()
    return codes, [line for line in lines if line.startswith(("mednoisy: E", "mednoisy: interrupted"))]


def _forked(words: list[str], rank: int, count: int, port: int, told: Path, before: Callable[[int], None]) -> int:
    if process := os.fork():
        return process
    code = 70
    try:
        with open(told, "a", encoding="utf-8") as stream, open(os.devnull, "w", encoding="utf-8") as nothing:
            os.dup2(stream.fileno(), 2)
            sys.stdout, sys.stderr = nothing, stream
            os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{count}"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
            os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
            before(rank)
            try:
                code = main(words)
            except SystemExit as end:
                code = int(end.code or 0)
            stream.flush()
    finally:
        os._exit(code)
