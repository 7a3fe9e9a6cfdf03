"""Numbered draws: all randomness of a run comes from (seed, stream, number), never from global state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Draw:
    """One numbered sample of a stream, and the source of everything random in it.

    Two draws with equal fields give equal numbers in any process, on any worker or rank, at any time.
    """

    seed: int
    stream: str
    number: int

    def key(self, purpose: str = "", bits: int = 128) -> int:
        """A whole number in [0, 2**bits) that depends on every field and on `purpose`."""
        text = f"{self.seed}/{self.stream}/{self.number}/{purpose}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=bits // 8).digest(), "little")

    def generator(self, purpose: str = "") -> np.random.Generator:
        """A fresh counter-based (Philox) generator for one purpose, such as "crop" or "box"."""
        return np.random.Generator(np.random.Philox(key=self.key(purpose)))

    def torch_generator(self, purpose: str = "", device: torch.device | str = "cpu") -> torch.Generator:
        """A fresh torch generator on `device`, for noise as large as an image."""
        import torch

        return torch.Generator(device=device).manual_seed(self.key(purpose, bits=56))
