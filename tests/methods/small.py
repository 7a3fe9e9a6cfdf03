"""Small networks and batches on which methods are tried."""

from __future__ import annotations

import torch
from torch import nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.methods.method import Method, Step


def small_network(classes: int = 2, spatial_dims: int = 3, norm: str = "instance", seed: int = 0) -> nn.Module:
    """Two convolutions from one channel to `classes` logits, filled from `seed`."""
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
    norms = {("batch", 2): nn.BatchNorm2d, ("batch", 3): nn.BatchNorm3d}
    norms |= {("instance", 2): nn.InstanceNorm2d, ("instance", 3): nn.InstanceNorm3d}
    network = nn.Sequential(
        convolution(1, 4, 3, padding=1), norms[norm, spatial_dims](4), nn.ReLU(), convolution(4, classes, 1)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)
    return network


def small_batch(classes: int = 2, spatial: tuple[int, ...] = (8, 7, 6), crops: int = 4, seed: int = 0) -> Batch:
    """`crops` labeled and unlabeled images of noise; the weak view is another tensor than the strong one."""
    generator = torch.Generator().manual_seed(seed)
    labeled, unlabeled, weak = torch.randn(3, crops, 1, *spatial, generator=generator)
    return Batch(labeled, torch.randint(0, classes, (crops, *spatial), generator=generator), unlabeled, weak)


def step_at(number: int = 0, length: int = 100) -> Step:
    return Step(number, length, Draw(0, "method", number))


def gradients(method: Method, name: str, batch: Batch, step: Step) -> list[torch.Tensor]:
    """The gradients of one student, from its own backward as the engine runs it."""
    parameters = list(method.students[name].parameters())
    return list(torch.autograd.grad(method(batch, step)[name].total(), parameters))
