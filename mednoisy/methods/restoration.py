"""Restoration: a network brings back what was shuffled, recoloured and painted over."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.losses.segmentation import full_precision
from mednoisy.methods.method import Step, Terms
from mednoisy.methods.pretext import Pretext, all_images, draws_of_images
from mednoisy.networks.reconstruction import reconstructing
from mednoisy.perturb.augmentation import Intensity
from mednoisy.perturb.models_genesis import restorable, unit_range


class Restoration(Pretext):
    """Networks restore images from what the changes of Models Genesis left of them.

    Each channel of an image is brought to 0..1 for the changes and back to its own values after them, so that the
    encoder sees intensities as it will in segmentation. The loss is the mean squared difference from the image, in its
    own unit (where images are z-scored, 1 is the loss of predicting the mean).

    Departures from the released code: no sigmoid (it has two), the target is in the network's own unit instead of 0..1,
    flips are left to the bundle's augmentation.

    Args:
        networks: by name of the student; copies are trained, with a last layer for the image's channels.
        shuffling, non_linear, painting: probabilities of each change of an image.
        inside: share of paintings that paint boxes (in-painting); the others paint all around windows.

    Raises:
        UserError: E503, a network that cannot give images.

    Source: Zhou et al. 2021, arXiv:2004.07882.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        shuffling: float = 0.5,
        non_linear: float = 0.9,
        painting: float = 0.9,
        inside: float = 0.2,
    ):
        super().__init__()
        self.starts = dict(networks)
        self.students = nn.ModuleDict({name: reconstructing(network) for name, network in networks.items()})
        self.changes: Intensity = restorable(shuffling, non_linear, painting, inside)

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Term `restoration` of each student."""
        images = all_images(batch)
        changed = self.changed(images, step.draw)
        return {
            name: Terms(restoration=(1.0, (full_precision(student(changed)) - images).square().mean()))
            for name, student in self.students.items()
        }

    def changed(self, images: Tensor, draw: Draw) -> Tensor:
        """Images (B, C, *S) after what is drawn for them."""
        unit, lowest, span = unit_range(full_precision(images))
        generators = draws_of_images(draw, "restoration", len(images))
        drawn = [self.changes.draw(generator, images.shape[1:]) for generator in generators]
        return (self.changes.apply(unit, drawn) * span + lowest).to(images.dtype)

    @torch.no_grad()
    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`original`, `corrupted` and what each student makes of that."""
        changed = self.changed(images, draw)
        restored = {_restored(name, self.students): student(changed) for name, student in self.students.items()}
        return {"original": images, "corrupted": changed, **restored}


def _restored(name: str, students: nn.ModuleDict) -> str:
    return "restored" if len(students) == 1 else f"restored by {name}"
