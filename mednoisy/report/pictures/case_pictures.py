"""Pictures of cases: planes through the largest cross-section, with outlines of reference and prediction."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from nibabel.orientations import apply_orientation, io_orientation

from mednoisy.data.images import Image, read_image
from mednoisy.data.label_maps import read_label_map
from mednoisy.errors import UserError
from mednoisy.evaluation.prediction_pairs import on_grid_of
from mednoisy.report.plots.drawing import data_address

REFERENCE_COLOUR, PREDICTION_COLOUR = "#3fd0ff", "#ff9a3c"  # apart from each other and from grey in any sight
CLASS_COLOURS = ("#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00")  # after Okabe and Ito 2008
PALE = 0.5  # share of white in the outline of a reference where colours tell classes apart
PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}  # plane to the axis it cuts, once axes point right, front, up
LINES_PER_WIDTH = 300  # an outline is 1.8 of these wide
DASHES = (0, (3, 3))  # of the prediction, which lies above the reference and must not hide it
LEAST_SHARE = 0.6  # of the plane's shorter side that is shown at least
LEAST_SHARE_EMPTY = 0.2  # the same where no image gives outlines a surrounding
MARGIN = 0.35  # of the reference's extent, shown around them


@dataclass(frozen=True)
class Picture:
    """One plane of one case as a data address, and what it shows in words."""

    address: str
    plane: str
    words: str


@dataclass(frozen=True)
class Volume:
    """Image (if there is one), reference and prediction on one grid whose axes point right, front and up.

    `note` says why an image that there is cannot be shown.
    """

    image: np.ndarray | None
    reference: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, ...]
    note: str = ""


def load(
    files: Mapping[str, Path], case: str, codes: Collection[int] | None = None, mapping: Mapping[int, int] | None = None
) -> Volume:
    """Read a case's reference and prediction as they were scored, and its image where it has one.

    Args:
        files: paths of reference, prediction and perhaps image.
        case: its id.
        codes, mapping: of the label maps, as for `read_label_map`.

    Raises:
        UserError: E2xx and E4xx for label maps that cannot be read or do not lie on one grid.
    """
    reference = read_label_map(files["reference"], codes, mapping, case=case).image
    found = read_label_map(files["prediction"], codes, mapping, case=case).image
    prediction, _ = on_grid_of(found, reference, case=case)
    image, note = _image(files["image"], reference, case) if "image" in files else (None, "")
    if len(reference.spacing) == 2:
        return Volume(image, reference.array, prediction, reference.spacing, note)
    turn = io_orientation(reference.affine)
    along = np.argsort(turn[:, 0])
    return Volume(
        None if image is None else apply_orientation(image, turn),
        apply_orientation(reference.array, turn),
        apply_orientation(prediction, turn),
        tuple(reference.spacing[axis] for axis in along),
        note,
    )


def _image(path: Path, reference: Image, case: str) -> tuple[np.ndarray | None, str]:
    """The image on the reference's grid, or why it cannot be shown: figures do not depend on it."""
    try:
        image = read_image(path, "image", case=case)
        if image.array.ndim == len(image.spacing):
            return on_grid_of(image, reference, case=case)[0], ""
    except UserError as fault:
        return None, fault.cause
    if image.shape != reference.shape:  # a picture in colour, which has no other geometry than its size
        return None, f"it has {image.shape[0]} x {image.shape[1]} pixels, the reference another size"
    return image.array, ""


def outline_colours(codes: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Label code to the colours of reference and prediction.

    A lone class has one for each of the two. Of several each has its own, of which the reference is a pale shade; the
    seventh has that of the first again.
    """
    if len(codes) == 1:
        return {codes[0]: (REFERENCE_COLOUR, PREDICTION_COLOUR)}
    own = {code: CLASS_COLOURS[place % len(CLASS_COLOURS)] for place, code in enumerate(codes)}
    return {code: (_pale(colour), colour) for code, colour in own.items()}


def _pale(colour: str) -> str:
    red, green, blue = (PALE + (1 - PALE) * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def pictures(
    volume: Volume,
    name: str,
    width_pixels: int,
    codes: Sequence[int],
    planes: Sequence[str] = ("axial", "coronal", "sagittal"),
) -> list[Picture]:
    """Planes through the largest cross-section of the reference (of the prediction, if that is empty).

    The right of the patient is on the left of axial and coronal pictures, the front on the left of sagittal ones.

    Args:
        volume: as `load` gives it.
        name: of the case and the run, for the words that stand for the picture.
        width_pixels: of each picture.
        codes: of all classes, whose outlines have the colours that `outline_colours` gives.
        planes: which of axial, coronal and sagittal; a picture with two axes has one plane.
    """
    shown = volume.reference if volume.reference.any() else volume.prediction
    if volume.reference.ndim == 2:
        return [outlined(volume, "picture", name, width_pixels, codes)]
    return [
        outlined(section(volume, plane, largest_section(shown, plane)), plane, name, width_pixels, codes)
        for plane in planes
    ]


def largest_section(mask: np.ndarray, plane: str) -> int:
    """The number of the slice that has most of a mask (three axes); the middle one of an empty mask."""
    cut = PLANES[plane]
    areas = (mask != 0).sum(axis=tuple(axis for axis in range(3) if axis != cut))
    return int(areas.argmax()) if areas.any() else mask.shape[cut] // 2


def section(volume: Volume, plane: str, number: int) -> Volume:
    """One slice of a volume with three axes as a picture: rows from the top, columns from the left."""
    cut = PLANES[plane]
    down, across = (axis for axis in (2, 1, 0) if axis != cut)
    return replace(
        volume,
        image=None if volume.image is None else _upright(volume.image, cut, number),
        reference=_upright(volume.reference, cut, number),
        prediction=_upright(volume.prediction, cut, number),
        spacing=(volume.spacing[down], volume.spacing[across]),
    )


def _upright(array: np.ndarray, cut: int, number: int) -> np.ndarray:
    """The plane as rows from top to bottom: up (or front) at the top, patient's right (or front) at the left."""
    return np.take(array, number, axis=cut).T[::-1, ::-1]


def outlined(flat: Volume, plane: str, name: str, width_pixels: int, codes: Sequence[int]) -> Picture:
    """A square around the reference, or around the prediction where there is none, with outlines of both.

    Args:
        flat: a picture with two axes, or what `section` gives.
        plane: what is shown, for the words.
        name, width_pixels, codes: as for `pictures`; without codes there are no outlines.
    """
    figure = Figure(figsize=(1, 1), dpi=width_pixels, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if flat.image is not None:
        smoothing = "bilinear" if flat.image.ndim == 2 else "antialiased"
        axes.imshow(
            greys(flat.image, colour=flat.image.ndim == 3), cmap="gray", interpolation=smoothing, vmin=0, vmax=1
        )
    line = 1.8 / LINES_PER_WIDTH * 72  # points: a figure is one inch wide
    colours = outline_colours(codes) if codes else {}
    for number, (mask, style) in enumerate(((flat.reference, "solid"), (flat.prediction, DASHES))):
        framed = np.pad(mask, 1)  # so that an outline is closed where the mask touches the border
        rows, columns = (np.arange(size) - 1 for size in framed.shape)
        for code in sorted(set(np.unique(mask).tolist()) & colours.keys()):
            axes.contour(
                columns, rows, framed == code, levels=[0.5], colors=[colours[code][number]], linewidths=line,
                linestyles=[style],
            )  # fmt: skip
    (top, bottom), (left, right) = _window(flat)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect=flat.spacing[0] / flat.spacing[1])
    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", pil_kwargs={"quality": 86, "subsampling": 0}, facecolor="black")
    return Picture(data_address(stream.getvalue(), "image/jpeg"), plane, f"{name}, {plane} plane")


def _window(flat: Volume) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row and column of a square (in mm) around the reference; it may reach beyond the plane.

    It does not depend on the prediction where there is a reference, so that runs are pictured alike.
    """
    shown, spacing = (flat.reference if flat.reference.any() else flat.prediction) != 0, flat.spacing
    middles, extents = [], []
    for axis in range(2):
        occupied = np.flatnonzero(shown.any(axis=1 - axis))
        low, high = (occupied[0], occupied[-1] + 1) if occupied.size else (0, shown.shape[axis])
        middles.append((low + high - 1) / 2)
        extents.append((high - low) * (1 + 2 * MARGIN) * spacing[axis])
    least = min(size * step for size, step in zip(shown.shape, spacing, strict=True))
    least *= LEAST_SHARE_EMPTY if flat.image is None else LEAST_SHARE
    half = max(*extents, least) / 2
    first, second = (
        (middle - half / step, middle + half / step) for middle, step in zip(middles, spacing, strict=True)
    )
    return first, second


def greys(image: np.ndarray, *, colour: bool) -> np.ndarray:
    """Brightness from 0 to 1 between the 1st and 99.5th percentile; colours (in the last axis) stay as they are."""
    if colour:
        return np.clip(image / (255 if image.dtype == np.uint8 else max(float(image.max()), 1e-9)), 0, 1)
    low, high = np.percentile(image, (1, 99.5))
    return np.clip((image.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)
