"""How long a training step takes on this machine: a few are done, with networks and patches as they would be."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import nn

from mednoisy.configure.machine import Machine, Speed
from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.methods.method import Method, Step
from mednoisy.methods.sdcl import SDCL

REPEATS = 2  # the shortest counts
TRIED = {2: (128, 128), 3: (40, 40, 40)}  # patches with which speeds are measured, by axes: large enough that what
BATCH = {2: 4, 3: 2}  # a step costs whatever its size does not show
THREADS_POWER = 0.85  # threads share a step's work less than evenly: n are as fast as n ** this (ours, a guess)
LONG_SECONDS = 5.0  # a first step that takes so long is not repeated


def measured_speeds(
    machine: Machine, trials: Sequence[Sequence[Mapping[str, Any]]], channels: int, classes: int
) -> Machine:
    """The machine with the speed of a step in fp32 and in bf16, for each pair of networks (see `trial_networks`)."""
    speeds = []
    for networks in trials:
        axes = int(networks[0]["spatial_dims"])
        patch, batch = TRIED[axes], BATCH[axes]
        for precision in ("fp32", "bf16"):
            seconds = seconds_a_step(networks, patch, batch, channels, classes, precision)
            speeds.append(Speed(_width(networks[0]), precision, seconds / (batch * math.prod(patch) / 1e6)))
    return replace(machine, speeds=tuple(speeds))


def _width(network: Mapping[str, Any]) -> int:
    of_levels = network.get("widths") or network.get("filters")
    return int(network["width"] if "width" in network else of_levels[0])  # type: ignore[index]


def seconds_a_step(
    networks: Sequence[Mapping[str, Any]],
    patch: Sequence[int],
    batch: int,
    channels: int,
    classes: int,
    precision: str,
    device: str | None = None,
) -> float:
    """The time of a step of SDCL, the slowest of the methods, on random images, when nothing else runs.

    On a CPU it is one thread's own time, shared among as many as PyTorch has: other programs do not lengthen it, as
    they do the clock's, and neither do threads that wait for each other.

    Args:
        networks: entries of two, as a page has them, without references.
        batch: labeled images, and unlabeled ones; even.
        device: None for a GPU where there is one.
    """
    on = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, partner = (_built(entry).to(on) for entry in networks)
        images = torch.randn(batch, channels, *patch, device=on)
        labels = torch.randint(0, classes, (batch, *patch), device=on)
        method = SDCL(network, partner).train()
        optimiser = torch.optim.Adam(method.students.parameters())
        both = Batch(images, labels, images, images)
        with _one_thread(on.type) as faster:
            taken = _timed(method, optimiser, both, precision)
            if taken < LONG_SECONDS:  # the first step also warms up
                taken = min(_timed(method, optimiser, both, precision) for _ in range(REPEATS))
    return taken / faster


@contextmanager
def _one_thread(device: str) -> Iterator[float]:
    """On a CPU PyTorch works with one thread meanwhile; how many times faster all of them are."""
    if device != "cpu":
        yield 1.0
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads**THREADS_POWER
    finally:
        torch.set_num_threads(threads)


def _timed(method: Method, optimiser: torch.optim.Optimizer, batch: Batch, precision: str) -> float:
    """Seconds of one step."""
    device = batch.labeled.device.type
    step = Step(0, 1, Draw(0, "timing", 0))
    start = _now(device)
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        totals = [terms.total() for terms in method.losses(batch, step).values()]
    optimiser.zero_grad()
    for total in totals:
        total.backward()
    optimiser.step()
    method.after_update(step)
    return _now(device) - start


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _built(entry: Mapping[str, Any]) -> nn.Module:
    module, _, name = str(entry["_target_"]).rpartition(".")
    network: nn.Module = getattr(import_module(module), name)(**{k: v for k, v in entry.items() if k != "_target_"})
    return network
