"""Changes of intensity for chains: noise, blur, brightness, gamma, resolution, looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mednoisy.perturb.hashed_noise import hashed_normals
from mednoisy.perturb.host_values import per_image
from mednoisy.perturb.strong_views import AppearanceChange, StrongView, appearance_changed, blurred


@dataclass(frozen=True)
class GaussianNoise:
    """Normal noise, voxel by voxel, of deviation U(deviation).

    Attributes:
        deviation: lowest and highest, in the image's unit.

    Examples:
        Of deviation 0 it changes nothing:

        >>> GaussianNoise().apply(torch.ones(1, 1, 2), np.array([[0.0, 7]]))
        tensor([[[1., 1.]]])
    """

    deviation: tuple[float, float] = (0.0, 0.1)
    probability: float = 0.15

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Deviation and seed."""
        return np.array([generator.uniform(*self.deviation), generator.integers(2**53)])

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        noise = hashed_normals(numbers[:, 1].astype(np.int64), images.shape[1:], images.device)
        return images + noise.to(images.dtype).mul_(per_image(numbers[:, 0], images))


@dataclass(frozen=True)
class GaussianBlur:
    """A Gaussian of another width U(sigma) along each axis; the border is repeated outwards.

    Attributes:
        sigma: smallest and largest standard deviation in voxels.

    Examples:
        >>> point = torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]]])
        >>> [round(value, 2) for value in GaussianBlur().apply(point, np.array([[1.0]])).flatten().tolist()]
        [0.05, 0.24, 0.4, 0.24, 0.05]
    """

    sigma: tuple[float, float] = (0.5, 1.0)
    probability: float = 0.2

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Deviations."""
        return generator.uniform(*self.sigma, len(shape) - 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return blurred(images, numbers)


@dataclass(frozen=True)
class ScaleIntensity:
    """Values times 1 + U(-change, change).

    Examples:
        >>> ScaleIntensity().apply(torch.ones(1, 1, 2), np.array([[1.25]]))
        tensor([[[1.2500, 1.2500]]])
    """

    change: float = 0.25
    probability: float = 0.3

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The factor."""
        return 1 + generator.uniform(-self.change, self.change, 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return images * per_image(numbers, images)


@dataclass(frozen=True)
class ShiftIntensity:
    """Values plus U(-change, change).

    Examples:
        >>> ShiftIntensity().apply(torch.ones(1, 1, 2), np.array([[-0.25]]))
        tensor([[[0.7500, 0.7500]]])
    """

    change: float = 0.25
    probability: float = 0.3

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """What is added."""
        return generator.uniform(-self.change, self.change, 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return images + per_image(numbers, images)


@dataclass(frozen=True)
class Gamma:
    """Values raised to the power U(gamma) between the image's lowest and highest; its mean and deviation stay.

    Attributes:
        gamma: lowest and highest exponent.

    Source: nnU-Net (Isensee et al. 2021), with retained statistics.

    Examples:
        An exponent of 1 changes nothing:

        >>> Gamma().apply(torch.tensor([[[0.0, 1.0, 2.0]]]), np.array([[1.0]]))
        tensor([[[0., 1., 2.]]])
    """

    gamma: tuple[float, float] = (0.7, 1.5)
    probability: float = 0.4

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The exponent."""
        return generator.uniform(*self.gamma, 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        dimensions = tuple(range(1, images.ndim))
        lowest = images.amin(dimensions, keepdim=True)
        span = (images.amax(dimensions, keepdim=True) - lowest).clamp(min=1e-7)
        mean = images.mean(dimensions, keepdim=True)
        deviation = (images - mean).square_().mean(dimensions, keepdim=True).sqrt_()
        changed = ((images - lowest) / span).pow_(per_image(numbers, images))  # of no unit, as what follows cancels any
        changed = changed - changed.mean(dimensions, keepdim=True)
        own_deviation = changed.square().mean(dimensions, keepdim=True).sqrt_().clamp_(min=1e-8)
        return changed.mul_(deviation / own_deviation).add_(mean)


@dataclass(frozen=True)
class LowResolution:
    """Images as of a scanner of fewer voxels: every so many voxels are kept, and others interpolated between them.

    Attributes:
        zoom: lowest and highest share of the voxels that are kept along each axis.

    Source: nnU-Net (Isensee et al. 2021), with linear in place of cubic interpolation.

    Examples:
        Of four voxels two are kept:

        >>> LowResolution().apply(torch.tensor([[[0.0, 9.0, 4.0, 9.0]]]), np.array([[2]]))
        tensor([[[0., 1., 3., 4.]]])
    """

    zoom: tuple[float, float] = (0.5, 1.0)
    probability: float = 0.15

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Numbers of voxels that are kept along each axis."""
        return np.maximum(np.round(np.asarray(shape[1:]) * generator.uniform(*self.zoom)), 1)

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[images.ndim - 2]
        changed = []  # image by image, as their sizes differ
        for image, sides in zip(images.split(1), numbers.astype(int).tolist(), strict=True):
            few = functional.interpolate(image, size=sides, mode="nearest")
            changed.append(functional.interpolate(few, size=image.shape[2:], mode=linear, align_corners=False))
        return torch.cat(changed)


@dataclass(frozen=True)
class Look:
    """Another look: jitter of brightness, contrast and colours, and blur, with the view's own probabilities.

    Examples:
        Half as bright:

        >>> Look().apply(torch.tensor([[[0.0, 2.0, 4.0]]]), np.array([[0.5, 1, 1, 0, 0]]))
        tensor([[[0., 1., 2.]]])
    """

    view: StrongView = field(default_factory=StrongView)
    probability: float = 1.0

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The fields of `AppearanceChange`."""
        look = self.view.draw(1, generator)
        return np.concatenate([look.brightness, look.contrast, look.saturation, look.hue, look.sigma])

    def apply(self, images: Tensor, numbers: np.ndarray) -> Tensor:
        return appearance_changed(images, AppearanceChange(*numbers.T))
