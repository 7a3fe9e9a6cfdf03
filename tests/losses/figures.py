"""The reference's losses: inputs, and the comparison of value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.reference import arrays_of

TOLERANCE = 1e-10


class Figures:
    """Inputs of one file of reference losses, and the comparison with its values and gradients."""

    def __init__(self, path: Path):
        self.arrays = arrays_of(path)
        self.mask = torch.from_numpy(self.arrays["mask"]).bool()
        self.image, self.patch = self.labels("label_image"), self.labels("label_patch")
        self.mixed = torch.where(self.mask, self.image, self.patch)

    def labels(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).long()

    def logits(self, network: str = "net1") -> Tensor:
        return torch.from_numpy(self.arrays[f"logits_{network}"]).requires_grad_()

    def check(self, name: str, loss: Callable[[Tensor], Tensor], network: str = "net1") -> None:
        """Value and gradient of `loss` as the reference has them under `name`."""
        logits = self.logits(network)
        value = loss(logits)
        value.backward()
        np.testing.assert_allclose(value.item(), self.arrays[f"value__{name}"], rtol=TOLERANCE, atol=1e-14)
        expected = self.arrays[f"grad__{name}__wrt_{network}"]
        scale = max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=TOLERANCE, atol=TOLERANCE * scale)
