"""Changes of geometry for chains that keep lines straight: turns, flips, affine maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mednoisy.errors import UserError
from mednoisy.perturb.host_values import on_device
from mednoisy.perturb.resampling import Positions


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
