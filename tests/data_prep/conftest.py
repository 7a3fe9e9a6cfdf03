"""Bundles of own files are configured for a machine whose speeds are known, so that no test waits for a timing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mednoisy.configure import timing


@pytest.fixture(autouse=True)
def known_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for a million voxels in fp32, half of that in bf16."""

    def known(networks: Any, patch: Any, batch: int, channels: int, classes: int, precision: str) -> float:
        return (1.0 if precision == "fp32" else 0.5) * batch * math.prod(patch) / 1e6

    monkeypatch.setattr(timing, "seconds_a_step", known)
