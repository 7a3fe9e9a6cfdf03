"""Seeded synthetic datasets: atrium and heart in 3D, skin lesion, polyp and body in colour. No download, no torch.

Contrast, size, shape and branches vary so much between cases that two labeled ones do not cover them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from mednoisy.data.body_phantom import BODY_LABELS, BODY_REGIONS, BODY_SIZE, SIZES, UNCERTAIN, body
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.datalist_checks import Regions
from mednoisy.data.heart_phantom import SHORT_AXIS_LABELS, SHORT_AXIS_SPACING_MM, short_axis
from mednoisy.data.images import write_nifti, write_picture
from mednoisy.data.smooth_noise import smooth_noise
from mednoisy.errors import UserError, did_you_mean

ATRIUM_SHAPE, PICTURE_SHAPE = (48, 48, 32), (96, 96)
ATRIUM_SPACING_MM = 2.5  # makes the body's radii those of a human atrium, about 24, 18 and 16 mm
Array = np.ndarray


def make_dataset(
    folder: Path | str,
    kind: str = "atrium",
    labeled: int = 2,
    unlabeled: int = 16,
    validation: int = 0,
    test: int = 8,
    seed: int = 0,
    size: int | None = None,
    ignore_uncertain: bool = False,
) -> Path:
    """Write images, labels and `datalist.json` to `folder`; the path of the latter.

    The references of the unlabeled cases are listed as `hidden`. For a study over numbers of labels make all
    training cases labeled and let `Datalist.with_labeled` take them away.

    Args:
        kind: "atrium" (NIfTI, 48x48x32 voxels of 2.5 mm), "heart" (NIfTI, about 84x84x7 voxels of 2x2x10 mm, four
            classes), "lesion" or "polyp" (PNG, 96x96, RGB), "body" (the same, nine classes, regions).
        seed: with the section and the number in it, decides all of a case.
        size: pixels along a side of a body, 96 where it is not given.
        ignore_uncertain: whether what is uncertain of a body is no class, but a code to ignore; files stay the same.

    Raises:
        UserError: E218 an unknown kind; E549 a size that none can have, or nothing uncertain to ignore.
    """
    if kind not in KINDS:
        raise UserError("E218", f"unknown kind of phantom {kind!r}", did_you_mean(kind, KINDS))
    if ignore_uncertain and kind != "body":
        raise UserError("E549", f"nothing is uncertain in a phantom of kind {kind!r}", "Take --kind body")
    folder, make = Path(folder), _sized(kind, size)
    names = LABELS.get(kind, ("background", kind))
    counts = {"labeled": labeled, "unlabeled": unlabeled, "validation": validation, "test": test}
    sections: dict[str, list[Case]] = {section: [] for section in (*counts, "hidden")}
    for section, count in counts.items():
        for number in range(count):
            name = f"{section}_{number:03d}"
            image, label = make(Draw(seed, f"phantom/{kind}/{section}", number).generator())
            one_bit = kind not in SPACING_MM and len(names) == 2
            paths = _write_case(folder, name, image, label > 0 if one_bit else label, SPACING_MM.get(kind))
            if section == "unlabeled":
                sections["hidden"].append({"id": name, "label": paths["label"]})
                del paths["label"]
            sections[section].append({"id": name, **paths})
    channels = {0: "phantom"} if kind in SPACING_MM else {0: "red", 1: "green", 2: "blue"}
    datalist = Datalist(
        name=f"phantom_{kind}",
        channels=channels,
        labels=dict(enumerate(names)),
        regions=BODY_REGIONS if kind == "body" else {},
        sections=sections,
        spacing_unit="mm" if kind in SPACING_MM else "pixel",
        protocol=f"Synthetic, seed {seed}: the figures say nothing about patients.",
    )
    if ignore_uncertain:
        datalist = _without_uncertain(datalist)
    return datalist.save(folder / "datalist.json")


def _without_uncertain(datalist: Datalist) -> Datalist:
    """Bodies of eight classes, whose files hold a ninth code that is ignored."""
    codes = tuple(code for code in datalist.labels if code != UNCERTAIN)
    names = {number: BODY_LABELS[code] for number, code in enumerate(codes)}
    regions: Regions = {
        "eight classes": {name: (number,) for number, name in names.items()},
        "skin or not": {"not skin": (0,), "skin": tuple(names)[1:]},
    }
    return replace(datalist, labels=names, codes=codes, as_source=True, ignore=(UNCERTAIN,), regions=regions)


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


KINDS: dict[str, Callable[[np.random.Generator], tuple[Array, Array]]]
KINDS = {"atrium": atrium, "heart": short_axis, "lesion": lesion, "polyp": polyp, "body": body}
LABELS = {"heart": SHORT_AXIS_LABELS, "body": BODY_LABELS}
SPACING_MM = {"atrium": (ATRIUM_SPACING_MM,) * 3, "heart": SHORT_AXIS_SPACING_MM}  # others are pictures


def _sized(kind: str, size: int | None) -> Callable[[np.random.Generator], tuple[Array, Array]]:
    """What makes a phantom of a kind, in that many pixels (E549)."""
    if size is None:
        return KINDS[kind]
    if kind != "body":
        raise UserError("E549", f"a phantom of kind {kind!r} has one size", "Drop --size, or take --kind body")
    low, high = SIZES
    if not low <= size <= high:
        cause = f"a body of {size} pixels a side cannot be drawn"
        raise UserError("E549", cause, f"Take a --size from {low} to {high}; {BODY_SIZE} is usual")
    return partial(body, size=size)


def _write_case(
    folder: Path, name: str, image: Array, label: Array, spacing: tuple[float, ...] | None
) -> dict[str, str]:
    suffix = ".nii.gz" if spacing else ".png"
    paths = {part: (folder / f"{part}s" / f"{name}{suffix}").absolute() for part in ("image", "label")}
    if spacing is None:
        write_picture(paths["image"], image)
        write_picture(paths["label"], label)
    else:
        affine = np.diag([*spacing, 1.0])
        write_nifti(paths["image"], image, affine)
        write_nifti(paths["label"], label, affine)
    return {part: str(path) for part, path in paths.items()}


# --- the atrium: signed distances in voxels, negative inside -------------------------------------------------


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


# --- pictures: lesion and polyp ------------------------------------------------------------------------------


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
