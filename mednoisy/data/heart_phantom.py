"""A seeded synthetic heart in short-axis slices, as in cine MRI: thick slices that breathing shifts, four classes."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from mednoisy.data.smooth_noise import smooth_noise

SHORT_AXIS_SPACING_MM = (2.0, 2.0, 10.0)
SHORT_AXIS_LABELS = ("background", "right ventricle", "myocardium", "left ventricle")
SIZES, SLICES = (72, 97), (6, 10)  # of rows and columns, and of slices: [lower, upper)
Array = np.ndarray


def short_axis(generator: np.random.Generator) -> tuple[Array, Array]:
    """A bright left ventricle in a dark wall with a bright crescent beside it, from base to apex.

    Sizes differ from case to case, as scanners' do. The right ventricle ends above the apex, and the slices on either
    end may show no heart at all. Liver, a vessel and the chest's fat are as bright as blood.

    Returns:
        image (72..96, 72..96, 6..9) int16, positive, and label of the same shape, uint8: 1 right ventricle,
        2 myocardium, 3 left ventricle; voxels of 2 x 2 x 10 mm.
    """
    rows, columns = (int(generator.integers(*SIZES)) for _ in range(2))
    slices = int(generator.integers(*SLICES))
    heart = _Heart(generator)
    blood, wall, tissue = generator.uniform(0.6, 0.95), generator.uniform(0.2, 0.35), generator.uniform(0.3, 0.5)
    first, last = generator.uniform(-0.15, 0.05), generator.uniform(0.95, 1.15)  # 0 is the base, 1 the apex
    planes = [heart.plane((rows, columns), place, generator) for place in np.linspace(first, last, slices)]
    label = np.stack(planes, axis=-1)
    image = np.stack([_surroundings((rows, columns), tissue, blood, heart.turn) for _ in planes], axis=-1)
    for code, brightness in ((1, blood * generator.uniform(0.85, 1.05)), (2, wall), (3, blood)):
        image[label == code] = brightness
    image = image * (1 + 0.08 * smooth_noise(image.shape, 1.5, generator))
    blur = generator.uniform(0.5, 0.9)
    image = gaussian_filter(image, (blur, blur, 0)) ** generator.uniform(0.7, 1.4)
    image *= np.exp(generator.uniform(0.1, 0.35) * smooth_noise(image.shape, 20, generator))
    noise = generator.uniform(0.02, 0.06) * generator.standard_normal((2, *image.shape))
    image = np.hypot(image + noise[0], noise[1])  # Rician, as the magnitude of a complex signal is
    return np.clip(np.rint(1000 * image), 1, 30000).astype(np.int16), label


class _Heart:
    """Sizes in pixels and shares, drawn once for all slices of a case."""

    def __init__(self, generator: np.random.Generator):
        self.radius = generator.uniform(9, 14)  # of the left ventricle at the base
        self.wall = generator.uniform(3.5, 6)
        self.reach = generator.uniform(1.1, 1.5)  # of the right ventricle, in radii of the outer wall
        self.taper = generator.uniform(0.6, 0.85)  # of the radius, lost from base to apex
        self.round = generator.uniform(0.85, 1.15)
        self.turn = generator.uniform(0, 2 * np.pi)  # where the right ventricle lies
        self.centre = generator.uniform(-6, 6, 2)
        self.drift = generator.uniform(-4, 4, 2)  # from base to apex

    def plane(self, shape: tuple[int, int], place: float, generator: np.random.Generator) -> Array:
        """The label of one slice; `place` is 0 at the base and 1 at the apex."""
        label = np.zeros(shape, np.uint8)
        breathing, bend = generator.normal(0, 0.8, 2), smooth_noise(shape, 6, generator)
        if not 0 <= place <= 1:
            return label
        centre = self.centre + place * self.drift + breathing
        y, x = _grid(shape, centre)
        across, along = np.cos(self.turn) * y + np.sin(self.turn) * x, np.cos(self.turn) * x - np.sin(self.turn) * y
        cavity = self.radius * np.sqrt(1 - (self.taper * place) ** 2) * (1 - 0.5 * place)
        outer = cavity + self.wall
        distance = np.hypot(across * self.round, along / self.round) + 0.5 * bend
        right = np.hypot((across - 0.55 * outer) / self.reach, along / 1.15) + 0.5 * bend
        if place < 0.75:
            label[(right < outer * (1 - 0.5 * place)) & (across > 0)] = 1
        label[distance < outer] = 2
        label[distance < cavity] = 3
        return label


def _surroundings(shape: tuple[int, int], tissue: float, blood: float, turn: float) -> Array:
    """Chest wall, lungs, liver and a vessel, the same in all slices."""
    y, x = _grid(shape, np.zeros(2))
    chest = np.hypot(y / (0.48 * shape[0]), x / (0.48 * shape[1]))
    image = np.where(chest < 1, tissue, 0.03)
    image[np.abs(chest - 0.95) < 0.05] = 0.9 * blood
    for side in (-1, 1):
        lung = np.hypot((y - 6 * side) / 22, (x - side * 0.36 * shape[1]) / 10)
        image[lung < 1] = 0.06
    image[np.hypot((y - 0.36 * shape[0]) / 9, x / 20) < 1] = 0.8 * blood  # the liver, below
    place = 0.33 * min(shape) * np.array([-np.cos(turn + 0.6), -np.sin(turn + 0.6)])
    image[np.hypot(y - place[0], x - place[1]) < 4] = blood  # the descending aorta, away from the right ventricle
    return image


def _grid(shape: tuple[int, int], centre: Array) -> tuple[Array, Array]:
    """Rows and columns in pixels from `centre`, which is itself counted from the middle."""
    rows, columns = (np.arange(size) - (size - 1) / 2 - shift for size, shift in zip(shape, centre, strict=True))
    return np.meshgrid(rows, columns, indexing="ij")
