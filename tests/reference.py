"""The rule that filled the reference networks, applied to ours, and the checksums that the figures hold."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mednoisy.networks.authors_checkpoints import used_keys

NETWORKS = Path(__file__).parent / "golden" / "reference_networks.json"


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name; the file is closed."""
    with np.load(path) as file:
        return dict(file)


def reference(name: str) -> dict:
    """The entry of one reference network, such as `sdcl_la_vnet`, in reference_networks.json."""
    return json.loads(NETWORKS.read_text())[name]


def reference_keys(name: str) -> list[str]:
    """All state-dict keys of one reference network, in order, unused ones included."""
    return [key for key, _, _ in reference(name)["state_dict"]]


def fill_by_rule(network: nn.Module, keys: str | Iterable[str]) -> None:
    """Fill parameters and buffers of `network` by the golden rule, rounded to float32, dtype kept.

    Args:
        keys: the name of a reference network, or its state-dict keys (unused ones may be among them).
    """
    keys = reference_keys(keys) if isinstance(keys, str) else [str(key) for key in keys]
    own = network.state_dict()
    for key, target in zip(used_keys(keys), own.values(), strict=True):
        target.copy_(torch.from_numpy(_values(key, tuple(target.shape))))


def used_rows(keys: Iterable[str]) -> list[int]:
    """Where the entries in use stand among the reference's `keys`: the rows of a golden checksum to compare."""
    keys = [str(key) for key in keys]
    used = set(used_keys(keys))
    return [row for row, key in enumerate(keys) if key in used]


def checksums(network: nn.Module) -> np.ndarray:
    """(mean, absolute sum) of each entry of `network`, float64 (entries, 2), in the order of `used_rows`."""
    values = [value.double() for value in network.state_dict().values()]
    return np.array([(value.mean().item(), value.abs().sum().item()) for value in values])


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.float32)
    normal = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    rules = {
        "weight": normal / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 1 + 0.1 * normal,
        "bias": 0.1 * normal,
        "running_mean": 0.1 * normal,
        "running_var": 1 + 0.1 * np.abs(normal),
    }
    return rules[last].astype(np.float32)
