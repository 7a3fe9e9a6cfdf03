"""Convolutions of volumes that stay fast when a pass holds a single crop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# What PyTorch's `ConvParams::use_mkldnn` (aten/src/ATen/native/Convolution.cpp) compares with the product of the first
# four sizes of a float32 input of one sample: up to it, oneDNN is left for a matrix product of unfolded patches.
LEAVES_ONEDNN = 20480


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` that gives the same and stays in oneDNN on a CPU in fp32, with one crop too.

    Where PyTorch would leave oneDNN the crop is convolved as a batch of two, itself and its repetition, of which the
    first is kept: twice the arithmetic in under two thirds of the time. What is repeated has no gradient, and norms see
    one crop, so this is exact but for the order of sums.
    """

    def forward(self, input: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            return self._conv_forward(input, self.weight, self.bias)
        if not _leaves_onednn(input, self.kernel_size):
            return self._conv_forward(input, self.weight, self.bias)
        return self._conv_forward(input.expand(2, -1, -1, -1, -1), self.weight, self.bias)[:1]


@torch.jit.unused
def _leaves_onednn(images: Tensor, kernel_size: tuple[int, ...]) -> bool:
    return (
        not torch.jit.is_tracing()  # or any number of crops would be cut to one
        and images.device.type == "cpu"
        and len(images) == 1
        and images.shape[:4].numel() <= LEAVES_ONEDNN
        and max(kernel_size) > 1  # one thread does others outside oneDNN, however many crops there are
        and images.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )
