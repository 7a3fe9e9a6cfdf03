"""What pretexts have in common: they read images alone, predict nothing, and leave an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
            method's checkpoints they are no part. Students that began with none, such as a discriminator, serve the
            others and are handed to nobody.
        restores: whether a student gives an image for an image.
        beyond: what each channel is, in the networks' unit, where a crop is larger than its image; None: 0.
        shown_between: values of `example`'s pictures that are shown as black and white; None: as the original has them.
    """

    starts: Mapping[str, nn.Module]
    restores = True
    beyond: Sequence[float] | None = None
    shown_between: tuple[float, float] | None = None

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The students that began with a network, by name: their encoders start others and give features."""
        return {name: self.students[name] for name in self.starts}

    def predictors(self) -> dict[str, nn.Module]:
        """None: there is nothing to validate, compare or deploy."""
        return {}

    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """What a reader is shown of the task for some images (B, C, *S): pictures of their shape by name.

        Whatever mode the students are in, no gradient is kept.
        """
        raise NotImplementedError

    def left_out(self, cases: Sequence[Mapping[str, Any]], patch_size: Sequence[int]) -> dict[str, str]:
        """Ids of the cases that take no part, with the reason in a word or two.

        Args:
            cases: `{"id": str, "image": (C, *S), ...}`, preprocessed.
            patch_size: of the crops.

        Raises:
            UserError: cases or crops that the task cannot be learned from.
        """
        return {}

    def remark(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        """What a user should know of the last of the rows that `progress.csv` has of this stage so far, if anything."""
        return None


def all_images(batch: Batch) -> Tensor:
    """(L + U, C, *S): labeled and unlabeled images, the latter before changes of intensity."""
    return torch.cat([batch.labeled, batch.unlabeled_weak])


def draws_of_images(draw: Draw, purpose: str, count: int) -> list[np.random.Generator]:
    """A generator for each image of a batch."""
    return [draw.generator(f"{purpose}/{number}") for number in range(count)]
