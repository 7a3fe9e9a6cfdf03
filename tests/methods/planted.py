"""A network whose logits are its input, on images of four pixels, for losses worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch


class Planted(nn.Module):
    """Two logits per pixel: 0 and `scale` times the image's value."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.encoder = _Maps(scale)

    def forward(self, image: Tensor) -> Tensor:
        (scaled,) = self.encoder(image)
        return torch.cat([torch.zeros_like(scaled), scaled], dim=1)


class _Maps(nn.Module):
    def __init__(self, scale: float):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image * self.scale]


def pixels(*rows: Sequence[float]) -> Tensor:
    """Images (B, 1, 4) of the given values."""
    return torch.tensor(rows, dtype=torch.float32).unsqueeze(1)


def batch_of(strong: Tensor, weak: Tensor | None = None) -> Batch:
    """A batch with the given unlabeled views; labeled are (2, -1, 0.5, -3) with labels (1, 0, 1, 1)."""
    labeled = pixels([2, -1, 0.5, -3])
    return Batch(labeled, torch.tensor([[1, 0, 1, 1]]), strong, strong if weak is None else weak)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def entropy(value: float) -> float:
    """Of the two probabilities of a logit, in nats, with the published 1e-6."""
    of_both = (sigmoid(value), sigmoid(-value))
    return -sum(share * math.log(share + 1e-6) for share in of_both)


def dice_squared(probabilities: Sequence[float], labels: Sequence[int], smooth: float = 1e-5) -> float:
    """1 - mean over both classes of (2 sum py + s)/(sum p^2 + sum y^2 + s), `probabilities` those of class 1."""
    of_classes = []
    for code in (0, 1):
        p = [value if code else 1 - value for value in probabilities]
        y = [float(label == code) for label in labels]
        overlap, total = sum(a * b for a, b in zip(p, y, strict=True)), sum(a * a for a in p) + sum(y)
        of_classes.append(1 - (2 * overlap + smooth) / (total + smooth))
    return sum(of_classes) / 2
