"""Noise is clipped, repeatable and drawn apart."""

from __future__ import annotations

import torch

from mednoisy.data.counter_based_random import Draw
from mednoisy.perturb.gaussian_noise import clipped_noise


def test_clipped_gaussian():
    """Of N(0, 1)/10 clipped at .2, 4.55 % lie on the limits and the rest keep their spread."""
    noise = clipped_noise(torch.zeros(200_000), Draw(0, "method", 3).torch_generator("noise"))
    assert noise.abs().max().item() == torch.tensor(0.2).item()
    assert abs((noise.abs() == noise.abs().max()).double().mean().item() - 0.0455) < 0.002
    assert abs(noise.std().item() - 0.0959) < 0.001  # sqrt of .1^2 (1 - .0455 - 4 phi(2)) + .0455 * .2^2
    assert abs(noise.mean().item()) < 0.001


def test_the_draw_alone_decides():
    """Equal draws give equal noise, whatever the global generator does; another number gives other noise."""
    image = torch.zeros(2, 1, 4, 4)
    first = clipped_noise(image, Draw(0, "method", 3).torch_generator("noise"))
    torch.rand(5)
    assert torch.equal(first, clipped_noise(image, Draw(0, "method", 3).torch_generator("noise")))
    assert not torch.equal(first, clipped_noise(image, Draw(0, "method", 4).torch_generator("noise")))


def test_no_noise():
    """A standard deviation of 0 leaves the image as it is."""
    assert not clipped_noise(torch.ones(3, 3), torch.Generator(), sigma=0.0).any()
