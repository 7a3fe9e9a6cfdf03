"""Pools whose best choice is known because it was planted."""

from __future__ import annotations

from typing import Any

import numpy as np

from mednoisy.active.pool import Pool

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
SIZES = (20, 12, 8, 8)


def groups(sizes: tuple[int, ...] = SIZES, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features of cases around `CENTRES`, and the group of each; the first of each group lies in its middle."""
    generator = np.random.default_rng(0)
    rows, group = [], []
    for number, size in enumerate(sizes):
        around = generator.normal(0, spread, (size, 2))
        around[1:] -= around[1:].mean(axis=0)
        around[0] = 0
        rows.append(CENTRES[number] + around)
        group += [number] * size
    return np.concatenate(rows).astype(np.float32), np.array(group)


def pool(count: int = 0, **fields: Any) -> Pool:
    """A pool of cases c00, c01, ..."""
    features = fields.get("features")
    count = count or len(features if features is not None else next(iter(fields.values())))
    return Pool([f"c{number:02d}" for number in range(count)], **fields)
