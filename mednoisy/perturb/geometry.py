"""Changes of geometry for chains: turns, flips, affine maps, lens, grid and elastic distortion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.errors import UserError
from mednoisy.perturb.host_values import on_device
from mednoisy.perturb.resampling import Positions, sampled

_FREE = 0.5  # of Keys' cubic interpolation


@dataclass(frozen=True)
class QuarterTurns:
    """Turns by 90, 180 or 270 degrees, all alike, from the first of two spatial axes towards the second.

    Examples:
        >>> QuarterTurns().symmetry(np.array([1]), 2)  # as torch.rot90(k=1)
        array([[ 0,  1],
               [-1,  0]])
    """

    axes: tuple[int, int] = (0, 1)
    probability: float = 0.75

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The number of turns.

        Raises:
            UserError: E231.
        """
        _check_axes(self.axes, shape)
        first, second = self.axes
        length, other_length = shape[1 + first], shape[1 + second]
        if length != other_length:
            raise UserError(
                "E231",
                f"crops are {length} and {other_length} voxels long on axes {first} and {second}, between which"
                " train#spatial turns them by 90 degrees",
                "Make these sides of patch_size equal, or leave out the turns",
            )
        return generator.integers(1, 4, size=1)

    def symmetry(self, numbers: np.ndarray, dimensions: int) -> np.ndarray:
        first, second = self.axes
        turn = np.eye(dimensions, dtype=np.int64)
        turn[[first, second], [first, second]] = 0
        turn[first, second], turn[second, first] = 1, -1
        return np.linalg.matrix_power(turn, int(numbers[0]))


@dataclass(frozen=True)
class Flip:
    """A mirror image along one of some spatial axes, all alike.

    Attributes:
        axes: to draw from; all of the image where None.

    Examples:
        >>> Flip().symmetry(np.array([0]), 2)
        array([[-1,  0],
               [ 0,  1]])
    """

    axes: Sequence[int] | None = None
    probability: float = 0.5

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """The axis.

        Raises:
            UserError: E231.
        """
        axes = range(len(shape) - 1) if self.axes is None else self.axes
        _check_axes(axes, shape)
        return np.array([axes[int(generator.integers(len(axes)))]])

    def symmetry(self, numbers: np.ndarray, dimensions: int) -> np.ndarray:
        mirror = np.eye(dimensions, dtype=np.int64)
        mirror[int(numbers[0]), int(numbers[0])] = -1
        return mirror


@dataclass(frozen=True)
class Affine:
    """Rotation, scale and shift around the centre: at voxel x, from the centre, is shown R (S x + t).

    Attributes:
        rotation: largest angle in radians to either side; in 3D around each axis, R = R0 R1 R2.
        scale: largest change of the factor S = 1 + U(-scale, scale) along each axis; above 1 things get smaller.
        shift: largest t, in shares of a side.
        outside: what is seen beyond the border: `border`, its repetition, or `zeros`.

    Examples:
        A quarter turn shows at the end of the long side what lies twice as far as the end of the short side:

        >>> Affine.matrices(np.array([np.pi / 2]), np.ones(2), np.array([0.5, 0.0]), (8, 4)).round(9) + 0.0
        array([[ 0. , -0.5,  0. ],
               [ 2. ,  0. ,  2. ]])
    """

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    outside: str = "border"
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.outside not in ("border", "zeros"):
            raise ValueError(f"outside is {self.outside!r}; it must be 'border' or 'zeros'")

    def draw(self, generator: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """A matrix (D, D + 1), row after row."""
        sides = shape[1:]
        angles = generator.uniform(-self.rotation, self.rotation, 3 if len(sides) == 3 else 1)
        factors = 1 + generator.uniform(-self.scale, self.scale, len(sides))
        shifts = generator.uniform(-self.shift, self.shift, len(sides))
        return self.matrices(angles, factors, shifts, sides).ravel()

    @staticmethod
    def matrices(angles: np.ndarray, factors: np.ndarray, shifts: np.ndarray, sides: Sequence[int]) -> np.ndarray:
        """(D, D + 1), for positions in halves of a side: R S and R t.

        Args:
            angles: in radians, one in 2D, three in 3D.
            shifts: in shares of a side.
        """
        lengths = np.asarray(sides, dtype=np.float64)
        turn = _rotation(angles, len(sides))
        whole = np.concatenate([turn * factors, (turn @ (shifts * lengths))[:, None]], axis=1)
        return whole * np.append(lengths, 2.0) / lengths[:, None]

    def unchanged(self, shape: Sequence[int]) -> np.ndarray:
        return np.eye(len(shape) - 1, len(shape)).ravel()

    def warp(self, positions: Positions, numbers: np.ndarray, shape: Sequence[int]) -> tuple[Positions, Tensor | None]:
        dimensions = len(positions)
        matrix = on_device(numbers, positions[0].device, torch.float32)
        entries = matrix.reshape(len(numbers), dimensions, dimensions + 1, *(1 for _ in positions))
        shown = []
        for axis in range(dimensions):
            place = entries[:, axis, dimensions]
            for other, position in enumerate(positions):
                place = place + entries[:, axis, other] * position
            shown.append(place)
        if self.outside == "border":
            return shown, None
        seen = None
        for place, side in zip(shown, shape[2:], strict=True):  # fades to 0 within a voxel of the border's centres
            share = (1 - place.abs()).mul_(side / 2).add_(0.5).clamp_(0, 1)
            seen = share if seen is None else seen.mul_(share)
        return shown, seen


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


def _check_axes(axes: Sequence[int], shape: Sequence[int]) -> None:
    last = len(shape) - 2
    for axis in axes:
        if axis not in range(last + 1):
            raise UserError(
                "E231",
                f"crops have no axis {axis}, along which train#spatial turns or flips them",
                f"Name axes from 0 to {last}",
            )


def _rotation(angles: np.ndarray, dimensions: int) -> np.ndarray:
    """(D, D): in 2D from the first axis towards the second, in 3D around the first, second and third axis."""
    if dimensions == 2:
        return _plane_rotation(float(angles[0]), 0, 1, 2)
    first, second, third = (float(angle) for angle in angles)
    about_first, about_second = _plane_rotation(first, 1, 2, 3), _plane_rotation(-second, 0, 2, 3)
    return about_first @ about_second @ _plane_rotation(third, 0, 1, 3)


def _plane_rotation(angle: float, one: int, other: int, dimensions: int) -> np.ndarray:
    turn = np.eye(dimensions)
    turn[one, one] = turn[other, other] = math.cos(angle)
    turn[one, other], turn[other, one] = -math.sin(angle), math.sin(angle)
    return turn


def _cubic_weights(side: int, cells: int, device: torch.device) -> Tensor:
    """(side, cells + 3): the weight of each coarse point, the first one cell before the border, at each voxel."""
    place = (torch.arange(side, device=device) + 0.5) * (cells / side) + 1
    apart = (place.unsqueeze(1) - torch.arange(cells + 3, device=device)).abs()
    near = ((2 - _FREE) * apart - (3 - _FREE)) * apart.square() + 1
    far = ((-_FREE * apart + 5 * _FREE) * apart - 8 * _FREE) * apart + 4 * _FREE
    return torch.where(apart < 1, near, torch.where(apart < 2, far, torch.zeros_like(apart)))
