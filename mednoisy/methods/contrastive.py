"""Contrastive: two looks of one place have the same features, and no two features are the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError
from mednoisy.losses.invariance import vicreg
from mednoisy.losses.segmentation import full_precision
from mednoisy.methods.method import Step, Terms
from mednoisy.methods.pretext import Pretext, all_images, draws_of_images
from mednoisy.networks.reconstruction import HEAD_SEED, bottleneck_channels, encoder_of, image_dimensions, pooled
from mednoisy.perturb.augmentation import Intensity
from mednoisy.perturb.intensity import GaussianBlur, GaussianNoise, LowResolution, ScaleIntensity, ShiftIntensity
from mednoisy.perturb.models_genesis import InPainting, NonLinearIntensity, unit_range

SAMPLES = 32  # from which on the deviation of a feature can be told
LAYERS = 3  # of the expander, as published


class Contrastive(Pretext):
    """Encoders learn features that two looks of an image share, by VICReg.

    The looks are of one crop, so that a place is at the same voxel in both: curves of intensity, noise, blur, low
    resolution, brightness and painted boxes are drawn for each. Features are means of the coarsest map, taken through
    an expander of three layers that is thrown away afterwards.

    VICReg needs some dozens of samples, and a batch of volumes has two or four. So the map is pooled in the cells of a
    grid, the coarsest that gives `samples` of them (or all voxels of the map), and each cell is a sample: our
    departure; with a batch of `samples` images each has one feature, as published.

    Args:
        networks: by name of the student; copies of their encoders are trained.
        width: of the expander's layers; published 8,192, for batches of 2,048.
        samples: that the terms are taken of, at least.
        invariance, variance, covariance: weights of the terms.

    Raises:
        UserError: E503, a network without an `encoder` that gives a list of feature maps; E505, in training, a batch
            of one image and one voxel.

    Source: Bardes, Ponce and LeCun 2022, arXiv:2105.04906.
    """

    restores = False

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        width: int = 512,
        samples: int = SAMPLES,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ):
        super().__init__()
        self.starts = dict(networks)
        self.students = nn.ModuleDict({name: _Expanded(network, width) for name, network in networks.items()})
        (self.dimensions,) = {image_dimensions(network) for network in networks.values()}
        self.samples, self.weights = samples, (invariance, variance, covariance)
        self.look = Intensity(
            [
                NonLinearIntensity(inverted=0.0, probability=0.5),
                ScaleIntensity(change=0.25, probability=0.5),
                ShiftIntensity(change=0.25, probability=0.5),
                GaussianNoise(deviation=(0.0, 0.1), probability=0.5),
                GaussianBlur(sigma=(0.5, 1.5), probability=0.3),
                LowResolution(zoom=(0.5, 1.0), probability=0.3),
                InPainting(boxes=3, another=0.5, probability=0.5),
            ]
        )

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `invariance`, `variance` and `covariance` of each student."""
        images = all_images(batch)
        both = torch.cat(self.looks(images, step.draw))
        terms = {}
        for name, student in self.students.items():
            first, second = student(both, self._grid(len(images))).chunk(2)
            found = vicreg(first, second)
            terms[name] = Terms(zip(found._fields, zip(self.weights, found, strict=True), strict=True))
        return terms

    def looks(self, images: Tensor, draw: Draw) -> list[Tensor]:
        """Two looks of images (B, C, *S), each drawn for itself."""
        unit, lowest, span = unit_range(full_precision(images))
        looks = []
        for view in ("first", "second"):
            generators = draws_of_images(draw, view, len(images))
            drawn = [self.look.draw(generator, images.shape[1:]) for generator in generators]
            looks.append((self.look.apply(unit, drawn) * span + lowest).to(images.dtype))
        return looks

    def _grid(self, images: int) -> int:
        """Cells along each axis, of as few as give enough samples."""
        grid = 1
        while images * grid**self.dimensions < self.samples:
            grid += 1
        return grid

    def example(self, images: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`original` and both looks."""
        first, second = self.looks(images, draw)
        return {"original": images, "first look": first, "second look": second}


class _Expanded(nn.Module):
    """Expanded features (N, width) of images; its `encoder` is a copy of a network's, under the same name."""

    def __init__(self, network: nn.Module, width: int):
        super().__init__()
        channels = bottleneck_channels(network)
        self.encoder = copy.deepcopy(encoder_of(network))
        for name in ("divisor", "output_stride"):  # what a network tells of the sizes it takes
            if hasattr(network, name):
                setattr(self, name, getattr(network, name))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(HEAD_SEED)
            layers: list[nn.Module] = []
            for inputs in (channels, *[width] * (LAYERS - 2)):
                layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
            self.expander = nn.Sequential(*layers, nn.Linear(width, width, bias=False)).to(
                next(self.encoder.parameters()).device
            )

    def forward(self, images: Tensor, grid: int) -> Tensor:
        features = pooled(self.encoder(images)[-1], grid)
        if len(features) < 4:
            crops = len(images) // 2
            cause = f"the contrastive pretext needs two samples, and a batch of {crops} crops gives one"
            raise UserError("E505", cause, "Use a larger batch_size or patch_size (--set ID=VALUE)")
        return self.expander(features)
