"""Seeded synthetic photographs of bodies in nine classes, whose hue tells classes apart where their grey does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from mednoisy.data.image import LUMA
from mednoisy.data.smooth_noise import smooth_noise

BODY_LABELS = ("background", "uncertain", "face", "hand", "foot", "limb", "trunk", "scalp", "anogenital")
BODY_REGIONS: dict[str, dict[str, tuple[int, ...]]] = {
    "nine classes": {name: (code,) for code, name in enumerate(BODY_LABELS)},
    "skin or not": {"not skin": (0, 1), "skin": (2, 3, 4, 5, 6, 7, 8)},
}
BODY_SIZE = 96  # pixels along a side
SIZES = (32, 1024)  # least and greatest
# Two directions in which a colour changes and its grey does not: towards red, and towards blue.
CHROMA = np.array([[1.0, -LUMA[0] / LUMA[1], 0.0], [0.0, -LUMA[2] / LUMA[1], 1.0]])
UNCERTAIN, FACE, HAND, FOOT, LIMB, TRUNK, SCALP, ANOGENITAL = range(1, 9)
HUES = {  # of each class, how far along the two directions
    UNCERTAIN: (0.02, 0.13),
    FACE: (0.17, 0.00),
    HAND: (0.23, -0.12),
    FOOT: (0.13, -0.22),
    LIMB: (0.13, -0.11),
    TRUNK: (0.07, -0.03),
    SCALP: (0.00, -0.19),
    ANOGENITAL: (0.20, 0.12),
}
Array = np.ndarray


def body(generator: np.random.Generator, size: int = BODY_SIZE) -> tuple[Array, Array]:
    """A body in some pose amid clutter, whole or from near, as a photograph for remote advice would show it.

    Every surface, skin or not, has a grey of the same distribution, and a hue of its class with some deviation;
    clutter has any hue, one in five that of skin. What grey tells is shape: edges, shading, the strands of hair.

    Args:
        size: pixels along a side, 32 to 1024.

    Returns:
        image (size, size, 3) uint8 and label (size, size) uint8 of the codes of `BODY_LABELS`. `uncertain` are
        plasters and the like on the skin.
    """
    canvas = _Canvas(generator, size)
    for _ in range(int(generator.integers(8, 15))):
        canvas.paint_clutter()
    joints = _pose(generator)
    view = _View.of(generator, joints)
    points = view.body_points(size)
    bend = 0.02 * np.stack([smooth_noise((size, size), size / 8, generator) for _ in range(2)])
    for code, distance in _parts(points + bend, joints):
        canvas.paint(distance, code, HUES[code])
    canvas.paint_plasters()
    return canvas.photograph(), canvas.label


def grey_of(image: Array) -> Array:
    """(rows, columns): the luminance of a picture (rows, columns, 3), in its unit."""
    return np.asarray(image, dtype=np.float64) @ np.array(LUMA)


class _Canvas:
    """Grey, hue and label of a picture that is painted surface by surface, the last one on top."""

    def __init__(self, generator: np.random.Generator, size: int):
        self.generator, self.size = generator, size
        self.light = generator.uniform(0.42, 0.56)  # the mean grey, of all surfaces of the picture
        self.tint = generator.normal(0, 0.012, 2)  # of the lamp
        self.grey, self.hue = np.zeros((size, size)), np.zeros((2, size, size))
        self.label = np.zeros((size, size), np.uint8)
        self.paint(np.full((size, size), -1.0), 0, self._any_hue())

    def paint(self, distance: Array, code: int, hue: tuple[float, float]) -> None:
        """Cover where `distance` (in half sides of the picture) is below 0."""
        draw, shape = self.generator, (self.size, self.size)
        inside = distance < 0
        grey = self.light + draw.uniform(-0.07, 0.07) + draw.uniform(0.01, 0.04) * self._texture(code == SCALP)
        shade = 0.75 + 0.25 * np.clip(-distance / 0.05, 0, 1)  # surfaces turn away from the lamp at their edge
        self.grey[inside] = (grey * shade)[inside]
        drawn = draw.normal(hue, 0.02)
        for axis in range(2):
            uneven = drawn[axis] + self.tint[axis] + 0.015 * smooth_noise(shape, self.size / 12, draw)
            self.hue[axis][inside] = uneven[inside]
        self.label[inside] = code

    def paint_clutter(self) -> None:
        """A box or a disc of any hue anywhere."""
        draw = self.generator
        offset = self._grid() - draw.uniform(-1, 1, 2).reshape(2, 1, 1)
        angle, radii = draw.uniform(0, np.pi), draw.uniform(0.12, 0.5, 2).reshape(2, 1, 1)
        turned = np.tensordot(_rotation(angle), offset, axes=1)
        if draw.random() < 0.5:
            distance = np.max(np.abs(turned) - radii, axis=0)
        else:
            distance = (np.linalg.norm(turned / radii, axis=0) - 1) * radii.min()
        self.paint(distance, 0, self._any_hue())

    def paint_plasters(self) -> None:
        """Up to three patches on the skin, wherever it shows."""
        skin = np.argwhere(self.label > UNCERTAIN)
        if not len(skin):
            return
        for _ in range(int(self.generator.integers(1, 4))):
            place = skin[self.generator.integers(len(skin))] / (self.size - 1) * 2 - 1
            radius = self.generator.uniform(0.06, 0.16)
            ragged = 0.2 * radius * smooth_noise((self.size, self.size), self.size / 20, self.generator)
            distance = np.linalg.norm(self._grid() - place.reshape(2, 1, 1), axis=0) - radius + ragged
            distance[self.label == 0] = 1
            self.paint(distance, UNCERTAIN, HUES[UNCERTAIN])

    def photograph(self) -> Array:
        """The picture under uneven light, blurred, with a sensor's noise; uint8."""
        draw, shape = self.generator, (self.size, self.size)
        image = self.grey[..., np.newaxis] + np.tensordot(self.hue, CHROMA, axes=(0, 0))
        light = 1 + draw.uniform(0.03, 0.1) * smooth_noise(shape, self.size / 4, draw)
        image = gaussian_filter(image * light[..., np.newaxis], (*([draw.uniform(0.3, 0.7)] * 2), 0))
        image = image + draw.uniform(0.01, 0.025) * draw.standard_normal(image.shape)
        return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)

    def _texture(self, strands: bool) -> Array:
        """Mean 0, standard deviation 1: spots, or the strands of hair."""
        if not strands:
            return smooth_noise((self.size, self.size), self.generator.uniform(0.7, 2.5), self.generator)
        angle = self.generator.uniform(-0.4, 0.4)
        across = np.tensordot(_rotation(angle)[1], self._grid(), axes=1)
        return np.sqrt(2) * np.sin(across * self.size * 0.9 + smooth_noise(across.shape, 3, self.generator))

    def _any_hue(self) -> tuple[float, float]:
        if self.generator.random() < 0.2:
            first, second = list(HUES.values())[int(self.generator.integers(len(HUES)))]
        else:  # what skin is not: from blue over green to yellow-green
            angle, strength = self.generator.uniform(0.6, 1.4) * np.pi, self.generator.uniform(0.05, 0.2)
            first, second = strength * np.cos(angle), strength * np.sin(angle)
        return float(first), float(second)

    def _grid(self) -> Array:
        return _grid(self.size)


@dataclass(frozen=True)
class _View:
    """From where a body is seen: a point of it in the middle, larger than it is, turned."""

    middle: Array
    zoom: float
    angle: float

    @classmethod
    def of(cls, generator: np.random.Generator, joints: dict[str, Array]) -> _View:
        """The whole body in half of the views, else some joint from near."""
        angle = generator.normal(0, 0.2)
        if generator.random() < 0.5:
            return cls(generator.uniform(-0.1, 0.1, 2), generator.uniform(0.9, 1.1), angle)
        place = joints[list(joints)[int(generator.integers(len(joints)))]]
        return cls(place + generator.normal(0, 0.1, 2), generator.uniform(1.3, 2.5), angle)

    def body_points(self, size: int) -> Array:
        """(2, size, size): where on the body each pixel looks, rows first."""
        turned = np.tensordot(_rotation(self.angle), _grid(size), axes=1)
        return turned / self.zoom + self.middle.reshape(2, 1, 1)


def _pose(generator: np.random.Generator) -> dict[str, Array]:
    """Joints of a body that is about 2 high, (row, column) from its middle, the head at negative rows."""
    joints = {"head": np.array([-0.70, generator.normal(0, 0.03)]), "waist": np.array([0.18, 0.0])}
    joints["groin"] = np.array([0.30, 0.0])
    for side, sign in (("left", -1.0), ("right", 1.0)):
        shoulder, hip = np.array([-0.42, 0.20 * sign]), np.array([0.24, 0.11 * sign])
        upper = generator.uniform(0.2, 1.5)  # from hanging down to stretched out
        lower = upper + generator.uniform(-0.3, 0.9)
        elbow = shoulder + 0.30 * np.array([np.cos(upper), sign * np.sin(upper)])
        wrist = elbow + 0.28 * np.array([np.cos(lower), sign * np.sin(lower)])
        thigh = generator.uniform(0.0, 0.5)
        shin = thigh + generator.uniform(-0.4, 0.15)
        knee = hip + 0.34 * np.array([np.cos(thigh), sign * np.sin(thigh)])
        ankle = knee + 0.32 * np.array([np.cos(shin), sign * np.sin(shin)])
        joints |= {f"{side} {name}": place for name, place in
                   (("shoulder", shoulder), ("elbow", elbow), ("wrist", wrist), ("hip", hip), ("knee", knee),
                    ("ankle", ankle))}  # fmt: skip
    return joints


def _parts(points: Array, joints: dict[str, Array]) -> list[tuple[int, Array]]:
    """Class and distance of each part of the body, in the order in which they lie over one another."""
    parts: list[tuple[int, Array]] = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        hip, knee, ankle = (joints[f"{side} {name}"] for name in ("hip", "knee", "ankle"))
        leg = np.minimum(_capsule(points, hip, knee, 0.12, 0.09), _capsule(points, knee, ankle, 0.09, 0.065))
        toe = ankle + np.array([0.07, 0.10 * sign])
        parts += [(LIMB, leg), (FOOT, _capsule(points, ankle + np.array([0.03, 0.0]), toe, 0.08, 0.065))]
    chest = np.array([-0.33, 0.0])
    parts.append((TRUNK, _capsule(points, chest, joints["waist"], 0.23, 0.19)))
    parts.append((ANOGENITAL, _capsule(points, joints["waist"] + [0.06, 0.0], joints["groin"], 0.13, 0.085)))
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[f"{side} {name}"] for name in ("shoulder", "elbow", "wrist"))
        arm = np.minimum(_capsule(points, shoulder, elbow, 0.085, 0.07), _capsule(points, elbow, wrist, 0.07, 0.055))
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        parts += [(LIMB, arm), (HAND, _capsule(points, wrist + 0.02 * along, wrist + 0.13 * along, 0.075, 0.065))]
    head = joints["head"]
    parts.append((TRUNK, _capsule(points, head, chest, 0.065, 0.09)))  # the neck
    skull = _ellipse(points, head, np.array([0.20, 0.155]))
    hairline = points[0] - head[0] + 0.05 - 1.2 * (points[1] - head[1]) ** 2
    return [*parts, (FACE, skull), (SCALP, np.maximum(_ellipse(points, head, np.array([0.225, 0.18])), hairline))]


def _grid(size: int) -> Array:
    """(2, size, size): rows and columns of the pixels' centres, from -1 to 1."""
    axis = (2 * np.arange(size, dtype=np.float64) + 1) / size - 1
    return np.stack(np.meshgrid(axis, axis, indexing="ij"))


def _rotation(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _ellipse(points: Array, centre: Array, radii: Array) -> Array:
    """About the distance to an ellipse, negative inside."""
    scaled = (points - centre.reshape(2, 1, 1)) / radii.reshape(2, 1, 1)
    return (np.linalg.norm(scaled, axis=0) - 1) * float(radii.min())


def _capsule(points: Array, start: Array, end: Array, radius: float, end_radius: float) -> Array:
    """About the distance to a limb from `start` to `end` whose radius changes evenly, negative inside."""
    axis, offset = end - start, points - start.reshape(2, 1, 1)
    along = np.clip(np.tensordot(axis, offset, axes=1) / float(axis @ axis), 0, 1)
    nearest = np.linalg.norm(offset - along * axis.reshape(2, 1, 1), axis=0)
    return nearest - (radius + (end_radius - radius) * along)
