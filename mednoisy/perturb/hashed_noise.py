"""Noise that is a function of a seed and a place: the same on every device, to the last digits of a logarithm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mednoisy.perturb.host_values import on_device

_GOLDEN, _FIRST, _SECOND = (
    constant - 2**64 for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)  # as signed numbers, which is all that torch multiplies on every device
_BITS = 24  # of a uniform number: what a float holds


def hashed_normals(seeds: np.ndarray, shape: Sequence[int], device: torch.device) -> Tensor:
    """Normal numbers of mean 0 and deviation 1, (B, *shape): one independent field for each of B seeds.

    The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose n-th value is a hash of seed and n; each
    gives two normals by Box and Muller's formula. None lies beyond 5.8.

    Args:
        seeds: (B,), whole numbers in [0, 2**63).

    Examples:
        >>> noise = hashed_normals(np.array([7, 7]), (1, 100, 100), torch.device("cpu"))
        >>> bool((noise[0] == noise[1]).all()), round(noise[0].std().item(), 2)
        (True, 1.0)
    """
    count = math.prod(shape)
    numbers = torch.arange(1, (count + 1) // 2 + 1, device=device)
    bits = _mixed(on_device(seeds, device, torch.int64).unsqueeze(1) + numbers * _GOLDEN)
    mask = 2**_BITS - 1
    above_zero = (bits.bitwise_right_shift(64 - _BITS).bitwise_and_(mask) + 1).float().mul_(2.0**-_BITS)
    radius = above_zero.log_().mul_(-2).sqrt_()
    angle = bits.bitwise_and_(mask).float().mul_(2 * math.pi * 2.0**-_BITS)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count].reshape(-1, *shape)


def hashed_uniforms(seeds: np.ndarray, shape: Sequence[int], device: torch.device) -> Tensor:
    """Numbers spread evenly over 0 < x <= 1, (B, *shape): one independent field for each of B seeds.

    The generator is that of `hashed_normals`.

    Args:
        seeds: (B,), whole numbers in [0, 2**63).

    Examples:
        >>> noise = hashed_uniforms(np.array([7, 7]), (1, 100, 100), torch.device("cpu"))
        >>> bool((noise[0] == noise[1]).all()), round(noise[0].mean().item(), 2)
        (True, 0.5)
    """
    numbers = torch.arange(1, math.prod(shape) + 1, device=device)
    bits = _mixed(on_device(seeds, device, torch.int64).unsqueeze(1) + numbers * _GOLDEN)
    upper = bits.bitwise_right_shift(64 - _BITS).bitwise_and_(2**_BITS - 1)
    return (upper + 1).float().mul_(2.0**-_BITS).reshape(-1, *shape)


def _mixed(state: Tensor) -> Tensor:
    """SplitMix64's value of each state; changes it in place."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        state = state.bitwise_xor_(_shifted(state, shift)).mul_(factor)
    return state.bitwise_xor_(_shifted(state, 31))


def _shifted(bits: Tensor, by: int) -> Tensor:
    """To the right, with zeros from the left; torch repeats the sign."""
    return bits.bitwise_right_shift(by).bitwise_and_(2 ** (64 - by) - 1)
