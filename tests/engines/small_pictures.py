"""Coloured pictures for runs of seconds, never a file read."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines.learning_rates import Polynomial
from mednoisy.engines.pretext_stages import pretext_stage
from mednoisy.engines.stages import Stage, completed
from mednoisy.methods.colorization import Colorization
from mednoisy.networks.unet import UNet

SIDE = 16


def picture_cases(
    first: int, count: int, *, labels: bool, gray: int = 0, shape: tuple[int, int] = (20, 18)
) -> CachedCases:
    """Cases named p{number} of values in -1..1: a reddish disc on a bluish ground; the first `gray` are gray."""

    def load(case: dict) -> dict:
        generator = np.random.default_rng(case["number"])
        centre = generator.uniform(6, 12, size=2).reshape(2, 1, 1)
        disc = ((np.indices(shape) - centre) ** 2).sum(axis=0) < 16
        image = np.where(disc, [[[0.7]], [[-0.1]], [[-0.4]]], [[[-0.5]], [[0.0]], [[0.6]]])
        image = image + 0.1 * generator.normal(size=(3, *shape))
        if case["number"] < first + gray:
            image[:] = image[:1]
        item = {"id": case["id"], "image": MetaTensor(torch.from_numpy(image).float().clamp(-1, 1))}
        return item | ({"label": MetaTensor(torch.from_numpy(disc)[None].to(torch.uint8))} if labels else {})

    return CachedCases([{"id": f"p{number}", "number": number} for number in range(first, first + count)], load)


def picture_stream(*, gray: int = 0, **options: Any) -> TrainingStream:
    """Crops of 16 x 16 from three labeled and four unlabeled pictures, of which the first `gray` are gray."""
    unlabeled = picture_cases(50, 4, labels=False, gray=gray)
    return TrainingStream(picture_cases(0, 3, labels=True), unlabeled, (SIDE, SIDE), **options)


def small_unet(seed: int = 1, width: int = 2) -> UNet:
    """With batch norm and dropout, whose states and draws count."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet(2, 3, 2, widths=(width, 2 * width), norm="batch", dropout=(0.1, 0.2))


def colouring_stages(**options: Any) -> list[Stage]:
    """Colorization and nothing else."""
    pretexts = {"colorization": partial(Colorization, **options)}
    stage = pretext_stage("colorization", pretexts, {"student": small_unet()}, 3)
    return completed([stage], partial(torch.optim.Adam, lr=0.01), Polynomial())
