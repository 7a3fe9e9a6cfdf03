"""Seeded synthetic pictures in colour: a skin lesion and a polyp."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from mednoisy.data.smooth_noise import smooth_noise

PICTURE_SHAPE = (96, 96)
Array = np.ndarray


def lesion(generator: np.random.Generator) -> tuple[Array, Array]:
    """A brown spot of irregular outline on skin, with uneven light, hairs and smaller spots that do not count.

    Returns:
        image (96, 96, 3) uint8 and label (96, 96) uint8 (1 inside).
    """
    grid = _picture_grid()
    skin = np.array([0.85, 0.66, 0.56]) * generator.uniform(0.6, 1.1) + generator.uniform(-0.05, 0.05, 3)
    brown = skin * (1 - generator.uniform(0.18, 0.6) * np.array([0.75, 1.0, 1.05]))
    blob = _blob(grid, generator.uniform(-16, 16, 2), generator.uniform(9, 30, 2), 0.28, generator)
    image = np.broadcast_to(skin, (*PICTURE_SHAPE, 3)) * (1 + 0.05 * _texture(3, generator))
    for _ in range(generator.integers(0, 4)):  # freckles, of the lesion's colour
        spot = _blob(grid, generator.uniform(-44, 44, 2), generator.uniform(2, 4.5, 2), 0.2, generator)
        image = _painted(image, brown * generator.uniform(0.9, 1.3), _edge(np.maximum(spot, 4 - blob), 0.8))
    mottled = brown * (1 + generator.uniform(0.05, 0.3) * _texture(4, generator))
    image = _painted(image, mottled, _edge(blob, generator.uniform(0.6, 2.5)))
    for _ in range(generator.integers(0, 9)):
        image = _painted(image, 0.25 * skin, 0.8 * _edge(_hair(grid, generator), 0.4))
    return _photograph(image, grid, generator), (blob < 0).astype(np.uint8)


def polyp(generator: np.random.Generator) -> tuple[Array, Array]:
    """A dome on folded mucosa of nearly the same colour, with a dark lumen and specular highlights.

    Returns:
        image (96, 96, 3) uint8 and label (96, 96) uint8 (1 inside).
    """
    grid = _picture_grid()
    mucosa = np.array([0.78, 0.42, 0.34]) * generator.uniform(0.7, 1.1) + generator.uniform(-0.05, 0.05, 3)
    angle, phase = generator.uniform(0, 2 * np.pi, 2)
    across = np.cos(angle) * grid[0] + np.sin(angle) * grid[1] + 4 * smooth_noise(PICTURE_SHAPE, 10, generator)
    folds = 1 + generator.uniform(0.08, 0.22) * np.sin(across * 2 * np.pi / generator.uniform(16, 34) + phase)
    image = mucosa * folds[..., np.newaxis] * (1 + 0.04 * _texture(2, generator))
    lumen = _blob(grid, generator.uniform(-40, 40, 2), generator.uniform(8, 18, 2), 0.2, generator)
    image = _painted(image, 0.15 * mucosa, _edge(lumen, 5))
    radii = generator.uniform(8, 26, 2)
    dome = _blob(grid, generator.uniform(-22, 22, 2), radii, 0.15, generator)
    height = np.sqrt(np.clip(-dome / radii.min(), 0, 1))
    shade = generator.uniform(0.75, 0.95) + generator.uniform(0.15, 0.35) * height
    tint = mucosa * (1 + generator.uniform(-0.14, 0.14, 3))
    image = _painted(image, tint * shade[..., np.newaxis] * (1 + 0.05 * _texture(2, generator)), _edge(dome, 1))
    for _ in range(generator.integers(2, 9)):  # wet tissue mirrors the lamp, on the polyp and beside it
        glint = _blob(grid, generator.uniform(-44, 44, 2), generator.uniform(0.8, 2.5, 2), 0.2, generator)
        image = _painted(image, np.ones(3), 0.9 * _edge(glint, 0.5))
    return _photograph(image, grid, generator), (dome < 0).astype(np.uint8)


def _picture_grid() -> Array:
    """(2, rows, columns), pixels from the middle."""
    grid = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float64) for size in PICTURE_SHAPE], indexing="ij"))
    return grid - (np.array(PICTURE_SHAPE).reshape(2, 1, 1) - 1) / 2


def _texture(sigma: float, generator: np.random.Generator) -> Array:
    return smooth_noise(PICTURE_SHAPE, sigma, generator)[..., np.newaxis]


def _blob(grid: Array, centre: Array, radii: Array, ragged: float, generator: np.random.Generator) -> Array:
    """About the distance in pixels to a turned ellipse whose outline is off by the share `ragged` of its size."""
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.tensordot(turn, grid - np.reshape(centre, (2, 1, 1)), axes=1)
    length = np.linalg.norm(offset / np.reshape(radii, (2, 1, 1)), axis=0)
    outline = 1 + ragged * 0.5 * smooth_noise(PICTURE_SHAPE, 0.35 * radii.min() + 1, generator)
    return (length - np.clip(outline, 0.4, None)) * radii.min()


def _hair(grid: Array, generator: np.random.Generator) -> Array:
    """About the distance in pixels to a thin arc across the picture."""
    angle, bend = generator.uniform(0, np.pi), generator.uniform(-0.008, 0.008)
    along = np.cos(angle) * grid[0] + np.sin(angle) * grid[1]
    across = -np.sin(angle) * grid[0] + np.cos(angle) * grid[1]
    return np.abs(across - generator.uniform(-40, 40) - bend * along**2) - generator.uniform(0.3, 0.8)


def _edge(distance: Array, width: float) -> Array:
    """How much of a thing shows: 1 inside, 0 outside, with an edge `width` pixels soft."""
    return 1 / (1 + np.exp(np.clip(distance / width, -30, 30)))


def _painted(image: Array, colour: Array, share: Array) -> Array:
    return image + share[..., np.newaxis] * (colour - image)


def _photograph(image: Array, grid: Array, generator: np.random.Generator) -> Array:
    """Uneven light, a dark rim, blur and sensor noise; uint8."""
    light = 1 + generator.uniform(0.03, 0.2) * _texture(25, generator)
    rim = 1 - generator.uniform(0, 0.35) * (np.linalg.norm(grid, axis=0)[..., np.newaxis] / 68) ** 2
    blur = generator.uniform(0.3, 0.9)
    image = gaussian_filter(image * light * rim, (blur, blur, 0))
    image = image + generator.uniform(0.01, 0.03) * generator.standard_normal(image.shape)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
