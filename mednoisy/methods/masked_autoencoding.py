"""Masked autoencoding: a network fills in blocks that it cannot see."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.losses.segmentation import full_precision
from mednoisy.methods.method import Step, Terms
from mednoisy.methods.pretext import Pretext, all_images, draws_of_images
from mednoisy.networks.reconstruction import reconstructing
from mednoisy.perturb.host_values import on_device
from mednoisy.perturb.masked_blocks import MaskedBlocks


class MaskedAutoencoding(Pretext):
    """Networks see a quarter of an image's blocks and reconstruct the others by their own decoder, skips included.

    Hidden blocks are 0, after normalisation the mean. The loss is the mean squared difference from the image over the
    hidden voxels alone.

    Args:
        networks: by name of the student; copies are trained, with a last layer for the image's channels.
        share, side: of hidden blocks, see `MaskedBlocks`.

    Raises:
        UserError: E503, a network that cannot give images.
        ValueError: as `MaskedBlocks`.

    Source: Wald et al. 2025, arXiv:2412.17041, the variant that serves segmentation best there.
    """

    def __init__(self, networks: Mapping[str, nn.Module], share: float = 0.75, side: int | None = None):
        super().__init__()
        self.blocks = MaskedBlocks(share, side)
        self.starts = dict(networks)
        self.students = nn.ModuleDict({name: reconstructing(network) for name, network in networks.items()})

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Term `reconstruction` of each student; `masked` is a share, 0..1."""
        images = all_images(batch)
        hidden = self.hidden(images, step.draw)
        seen = images.masked_fill(hidden, 0.0)
        return {
            name: Terms(
                reconstruction=(1.0, masked_squared_gap(student(seen), images, hidden)),
                masked=(0.0, hidden.float().mean()),
            )
            for name, student in self.students.items()
        }

    def hidden(self, images: Tensor, draw: Draw) -> Tensor:
        """(B, 1, *S), bool: what is drawn to be hidden of each image."""
        generators = draws_of_images(draw, "blocks", len(images))
        masks = [self.blocks.draw(generator, images.shape[2:]) for generator in generators]
        return on_device(np.stack(masks)[:, None], images.device)

    @torch.no_grad()
    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`original`, `corrupted` and what each student makes of that in the hidden blocks."""
        hidden = self.hidden(images, draw)
        seen = images.masked_fill(hidden, 0.0)
        alone = len(self.students) == 1
        return {"original": images, "corrupted": seen} | {
            "restored" if alone else f"restored by {name}": torch.where(hidden, student(seen), images)
            for name, student in self.students.items()
        }


def masked_squared_gap(prediction: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared difference over hidden voxels and all channels, in 32 bits; 0 where nothing is hidden.

    Args:
        prediction, images: (B, C, *S).
        hidden: (B, 1, *S), bool.
    """
    gap = (full_precision(prediction) - full_precision(images)).square() * hidden
    return gap.sum() / (hidden.sum() * images.shape[1]).clamp(min=1)
