"""A seeded synthetic left atrium in 3D: a bright body with branches amid neighbours of like brightness."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from mednoisy.data.smooth_noise import smooth_noise

ATRIUM_SHAPE = (48, 48, 32)
ATRIUM_SPACING_MM = 2.5  # makes the body's radii those of a human atrium, about 24, 18 and 16 mm
Array = np.ndarray


def atrium(generator: np.random.Generator) -> tuple[Array, Array]:
    """A bright body with an appendage and up to four veins amid neighbours of like brightness, as in MRI.

    Returns:
        image (48, 48, 32) int16, positive, and label (48, 48, 32) uint8 (1 inside).
    """
    points = _warped_grid(generator)
    inside, body_radii = _atrium_distance(points, generator)
    blood, tissue = generator.uniform(0.5, 0.95), generator.uniform(0.25, 0.5)
    image = _surroundings(points, tissue, generator)
    for distance in _neighbours(points, body_radii, generator):
        # The wall between two chambers is thin, and the only thing that parts them.
        image[np.maximum(distance, 1.3 - inside) < 0] = blood + generator.uniform(-0.1, 0.1)
    image[inside < 0] = blood
    image = np.clip(image + 0.05 * smooth_noise(ATRIUM_SHAPE, 3, generator), 0.01, None)
    image = gaussian_filter(image, generator.uniform(0.5, 0.8)) ** generator.uniform(0.6, 1.6)
    image *= np.exp(generator.uniform(0.1, 0.4) * smooth_noise(ATRIUM_SHAPE, 14, generator))
    noise = generator.uniform(0.03, 0.09) * generator.standard_normal((2, *ATRIUM_SHAPE))
    image = np.hypot(image + noise[0], noise[1])  # Rician, as the magnitude of a complex signal is
    return np.clip(np.rint(1000 * image), 1, 30000).astype(np.int16), (inside < 0).astype(np.uint8)


def _warped_grid(generator: np.random.Generator) -> Array:
    """(3, *shape): coordinates around a centre near the middle, rotated and bent, so that shapes are too."""
    grid = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float64) for size in ATRIUM_SHAPE], indexing="ij"))
    centre = (np.array(ATRIUM_SHAPE) - 1) / 2 + generator.uniform(-2.5, 2.5, 3)
    grid += np.stack([smooth_noise(ATRIUM_SHAPE, 7, generator) for _ in range(3)])
    rotation = Rotation.from_euler("xyz", generator.uniform(-0.35, 0.35, 3)).as_matrix()
    return np.tensordot(rotation, grid - centre.reshape(3, 1, 1, 1), axes=1)


def _ellipsoid(points: Array, centre: Array, radii: Array) -> Array:
    """About the distance to an ellipsoid; exact for a sphere, of first order near the surface."""
    scaled = (points - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(radii, (3, 1, 1, 1))
    length = np.linalg.norm(scaled, axis=0)
    slope = np.linalg.norm(scaled / np.reshape(radii, (3, 1, 1, 1)), axis=0)
    return length * (length - 1) / np.maximum(slope, 1e-9)


def _capsule(points: Array, start: Array, end: Array, radius: float, end_radius: float) -> Array:
    """About the distance to a round tube from `start` to `end` whose radius changes evenly."""
    axis, offset = end - start, points - np.reshape(start, (3, 1, 1, 1))
    along = np.clip(np.tensordot(axis, offset, axes=1) / (axis @ axis), 0, 1)
    nearest = np.linalg.norm(offset - along * np.reshape(axis, (3, 1, 1, 1)), axis=0)
    return nearest - (radius + (end_radius - radius) * along)


def _atrium_distance(points: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """Distance to body, appendage and veins together; the body's radii."""
    radii = np.array([9.5, 7, 6.5]) * generator.uniform(0.8, 1.2) * generator.uniform(0.85, 1.15, 3)
    distance = _ellipsoid(points, np.zeros(3), radii)

    def branch(direction: Array, reach: float, radius: float, end_radius: float) -> Array:
        direction = direction + generator.uniform(-0.2, 0.2, 3)
        wall = direction / np.linalg.norm(direction / radii)
        return _capsule(points, 0.8 * wall, reach * wall, radius, end_radius)

    distance = np.minimum(distance, branch(np.array([-1.0, 0.8, 0.2]), generator.uniform(1.4, 1.8), 3.2, 2.0))
    for side in (-1.0, 1.0):
        for height in (-0.6, 0.6):
            vein = branch(np.array([side, -0.7, height]), generator.uniform(1.35, 1.75), 2.6, 1.7)
            if generator.random() >= 0.12:  # a vein may be absent
                distance = np.minimum(distance, vein)
    return distance, radii


def _neighbours(points: Array, radii: Array, generator: np.random.Generator) -> list[Array]:
    """Distances to what is as bright as the atrium: right atrium, ventricle, ascending and descending aorta."""
    shift = generator.uniform(-1.5, 1.5, (4, 3))
    size = generator.uniform(0.85, 1.15, 4)
    right = np.array([radii[0] + 6, 4, 0]) + shift[0]
    ventricle = np.array([-0.4 * radii[0], radii[1] + 7, -3]) + shift[1]
    ascending = np.array([4, radii[1] + 3, 0]) + shift[2]
    descending = np.array([-3, -radii[1] - 4.5, 0]) + shift[3]
    up = np.array([0, 0, 40.0])
    return [
        _ellipsoid(points, right, size[0] * np.array([7, 8, 8.5])),
        _ellipsoid(points, ventricle, size[1] * np.array([8, 7.5, 9])),
        _capsule(points, ascending, ascending + up, 3.6 * size[2], 3.2 * size[2]),
        _capsule(points, descending - up, descending + up, 2.9 * size[3], 2.9 * size[3]),
    ]


def _surroundings(points: Array, tissue: float, generator: np.random.Generator) -> Array:
    """Air, a muscle shell, soft tissue, two dark lungs and the spine."""
    flat = points * np.array([1, 1, 0.3]).reshape(3, 1, 1, 1)  # the trunk goes on beyond the slab
    trunk = _ellipsoid(flat, np.zeros(3), generator.uniform(0.9, 1.05) * np.array([26, 23, 24]))
    image = np.where(trunk < 0, tissue, 0.03)
    image[np.abs(trunk + 2) < 1.2] = tissue + generator.uniform(0.05, 0.2)
    for side in (-1, 1):
        lung = _ellipsoid(points, np.array([side * generator.uniform(19, 22), -5, 0]), np.array([6.5, 11, 20]))
        image[lung < 0] = generator.uniform(0.05, 0.12)
    spine = _capsule(points, np.array([2, -19, -40.0]), np.array([2, -19, 40.0]), 4, 4)
    image[spine < 0] = tissue + generator.uniform(-0.15, 0.25)
    return image
