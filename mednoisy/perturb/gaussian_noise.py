"""Noise on images."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_noise(image: Tensor, generator: torch.Generator, sigma: float = 0.1, limit: float = 0.2) -> Tensor:
    """Gaussian noise to add to `image`: clip(sigma * N(0, 1), -limit, limit), voxel by voxel.

    Args:
        image: gives shape, dtype and device of the noise; it is not changed.
        generator: on the image's device, such as `step.draw.torch_generator("noise", image.device)`.
        sigma: standard deviation before clipping, in the image's intensity units (z-scores in the papers).
        limit: largest absolute value.

    Source: the mean teachers of UA-MT and SSL4MIS, with these defaults.

    Examples:
        >>> noise = clipped_noise(torch.zeros(1000), torch.Generator().manual_seed(0))
        >>> round(noise.min().item(), 4), round(noise.max().item(), 4)
        (-0.2, 0.2)
    """
    noise = torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)
    return noise.mul_(sigma).clamp_(-limit, limit)
