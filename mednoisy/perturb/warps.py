"""Changes of geometry for chains that bend lines: lens, grid and elastic distortion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.perturb.host_values import on_device
from mednoisy.perturb.resampling import Positions, sampled

_FREE = 0.5  # of Keys' cubic interpolation


@dataclass(frozen=True)
class Lens:
    """Images through a lens that shrinks (strength above 0) or swells (below 0) them around their centre.

    At x from the centre is shown x (1 + k r^2 + k r^4), x in shares of the sides and r its length: 0.5 in the middle of
    an edge. Beyond the border it is repeated.

    Attributes:
        strength: lowest and highest k; below -0.36 the corners of a picture fold over.

    Source: Brown's radial model with equal coefficients, as albumentations' OpticalDistortion (by cv2) has it.

    Examples:
        What is shown at 0.75, in halves of a side, through a lens of strength 1:

        >>> positions, _ = Lens().warp([torch.tensor([0.75])], np.array([[1.0]]), (1, 1, 4))
        >>> round(positions[0].item(), 4)  # 0.75 (1 + r^2 + r^4), r = 0.375
        0.8703
    """

    strength: tuple[float, float] = (-0.35, 1.0)
    probability: float = 0.7

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The strength."""
        return generator.uniform(*self.strength, 1)

    def unchanged(self, shape: Sequence[int]) -> np.ndarray:
        return np.zeros(1)

    def warp(self, positions: Positions, numbers: np.ndarray, shape: Sequence[int]) -> tuple[Positions, None]:
        strength = on_device(numbers, positions[0].device, torch.float32).reshape(-1, *(1 for _ in positions))
        squared = sum(position.square() for position in positions[1:]) + positions[0].square()
        squared = squared / 4  # shares of a side, of which positions count halves
        factor = 1 + strength * (squared + squared.square())
        return [position * factor for position in positions], None


@dataclass(frozen=True)
class GridDistortion:
    """Cells of a grid made longer or shorter, line by line, from the front of each axis; the border is repeated.

    Attributes:
        cells: along each axis.
        limit: largest change of a cell's length, as a share of it.

    Examples:
        Of two cells the first is half as long again: its end, the middle, shows what lies a quarter on:

        >>> positions, _ = GridDistortion(cells=2).warp([torch.tensor([0.0])], np.array([[1.5, 0.5]]), (1, 1, 4))
        >>> positions[0].item()
        0.5
    """

    cells: int = 5
    limit: float = 0.3
    probability: float = 0.7

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Lengths of the cells of one axis after another, in cells."""
        return 1 + generator.uniform(-self.limit, self.limit, self.cells * (len(shape) - 1))

    def unchanged(self, shape: Sequence[int]) -> np.ndarray:
        return np.ones(self.cells * (len(shape) - 1))

    def warp(self, positions: Positions, numbers: np.ndarray, shape: Sequence[int]) -> tuple[Positions, None]:
        lengths = on_device(numbers, positions[0].device, torch.float32)
        lengths = lengths.reshape(len(numbers), len(positions), self.cells, *(1 for _ in positions))
        shown = []
        for axis, position in enumerate(positions):
            place = (position + 1) * (self.cells / 2)
            passed = lengths[:, axis, 0] * place.clamp(0, 1)
            for cell in range(1, self.cells):
                passed = passed + lengths[:, axis, cell] * (place - cell).clamp_(0, 1)
            shown.append(passed * (2 / self.cells) - 1)
        return shown, None


@dataclass(frozen=True)
class Elastic:
    """Smooth random displacements: normal numbers on a coarse grid, interpolated by Keys' cubic (1981).

    Attributes:
        cells: of the coarse grid along each axis.
        magnitude: lowest and highest standard deviation of a displacement, in shares of the longest side.

    Examples:
        Without a displacement every place shows itself:

        >>> elastic = Elastic(cells=2)
        >>> positions, _ = elastic.warp([torch.tensor([-0.5, 0.5])], elastic.unchanged((1, 2))[None], (1, 1, 2))
        >>> positions[0]
        tensor([[-0.5000,  0.5000]])
    """

    cells: int = 8
    magnitude: tuple[float, float] = (0.0, 0.025)
    probability: float = 0.7

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Displacements in halves of a side, (D, cells + 3, ..., cells + 3), flat."""
        sides = np.asarray(shape[1:])
        points = (self.cells + 3) ** len(sides)  # one before the first and two behind the last cell
        deviation = generator.uniform(*self.magnitude) * sides.max()
        return (generator.standard_normal((len(sides), points)) * (2 * deviation / sides[:, None])).ravel()

    def unchanged(self, shape: Sequence[int]) -> np.ndarray:
        dimensions = len(shape) - 1
        return np.zeros(dimensions * (self.cells + 3) ** dimensions)

    def warp(self, positions: Positions, numbers: np.ndarray, shape: Sequence[int]) -> tuple[Positions, None]:
        dimensions = len(positions)
        field = on_device(numbers, positions[0].device, torch.float32)
        field = field.reshape(len(numbers), dimensions, *(self.cells + 3 for _ in positions))
        for axis, side in enumerate(shape[2:]):
            weights = _cubic_weights(side, self.cells, field.device)
            coarse = field.movedim(2 + axis, -1).unsqueeze(-2)
            field = (coarse * weights).sum(dim=-1).movedim(-1, 2 + axis)
        if any(position.numel() != side for position, side in zip(positions, shape[2:], strict=True)):
            field, _ = sampled(field, None, positions, None)  # not voxels' own places any more
        return [position + field[:, axis] for axis, position in enumerate(positions)], None


def _cubic_weights(side: int, cells: int, device: torch.device) -> Tensor:
    """(side, cells + 3): the weight of each coarse point, the first one cell before the border, at each voxel."""
    place = (torch.arange(side, device=device) + 0.5) * (cells / side) + 1
    apart = (place.unsqueeze(1) - torch.arange(cells + 3, device=device)).abs()
    near = ((2 - _FREE) * apart - (3 - _FREE)) * apart.square() + 1
    far = ((-_FREE * apart + 5 * _FREE) * apart - 8 * _FREE) * apart + 4 * _FREE
    return torch.where(apart < 1, near, torch.where(apart < 2, far, torch.zeros_like(apart)))
