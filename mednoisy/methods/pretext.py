"""What pretexts have in common: they read images alone, predict nothing, and leave an encoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.methods.method import Method


class Pretext(Method):
    """Base of methods whose students are trained for their encoders alone.

    Attributes:
        starts: by student, the network whose weights it began with and whose class it shares but for the head. Of the
            method's checkpoints they are no part.
        restores: whether a student gives an image for an image.
    """

    starts: Mapping[str, nn.Module]
    restores = True

    def predictors(self) -> dict[str, nn.Module]:
        """None: there is nothing to validate, compare or deploy."""
        return {}

    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """What a reader is shown of the task for some images (B, C, *S): pictures of their shape by name.

        Whatever mode the students are in, no gradient is kept.
        """
        raise NotImplementedError


def all_images(batch: Batch) -> Tensor:
    """(L + U, C, *S): labeled and unlabeled images, the latter before changes of intensity."""
    return torch.cat([batch.labeled, batch.unlabeled_weak])


def draws_of_images(draw: Draw, purpose: str, count: int) -> list[np.random.Generator]:
    """A generator for each image of a batch."""
    return [draw.generator(f"{purpose}/{number}") for number in range(count)]
