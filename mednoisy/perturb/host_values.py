"""Numbers drawn on the host, on the device of the images that they change, without waiting for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def on_device(values: np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of `values` on `device`, which the host does not wait for.

    Args:
        dtype: of the copy; None keeps that of `values`.

    Examples:
        >>> on_device(np.array([1.5, 2.5]), torch.device('cpu'), torch.float32)
        tensor([1.5000, 2.5000])
    """
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype).to(device, non_blocking=True)


def per_image(values: np.ndarray, images: Tensor) -> Tensor:
    """(B,) to (B, 1, ..., 1), in the type and on the device of `images` (B, C, *S).

    Examples:
        >>> per_image(np.array([2, 3]), torch.ones(2, 1, 1)) * torch.ones(2, 1, 1)
        tensor([[[2.]],
        <BLANKLINE>
                [[3.]]])
    """
    return on_device(values, images.device, images.dtype).reshape(-1, *(1 for _ in images.shape[1:]))
