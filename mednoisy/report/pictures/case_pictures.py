"""Pictures of cases: planes through the largest cross-section, with outlines of reference and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from mednoisy.report.data_uris import data_address
from mednoisy.report.pictures.case_arrays import PLANES, SIDES, CaseArrays, largest_slice, slice_of

REFERENCE_COLOUR, PREDICTION_COLOUR = "#3fd0ff", "#ff9a3c"  # apart from each other and from grey in any sight
CLASS_COLOURS = ("#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00")  # after Okabe and Ito 2008
SIDE_NAMES = {"R": "the patient's right", "A": "the front"}
PALE = 0.5  # share of white in the outline of a reference where colours tell classes apart
LINES_PER_WIDTH = 300  # an outline is 1.8 of these wide
DASHES = (0, (3, 3))  # of the prediction, which lies above the reference and must not hide it
LEAST_SHARE = 0.6  # of the plane's shorter side that is shown at least
LEAST_SHARE_EMPTY = 0.2  # the same where no image gives outlines a surrounding
MARGIN = 0.35  # of the reference's extent, shown around them


@dataclass(frozen=True)
class EmbeddedPicture:
    """One plane of one case as a data address, and what it shows in words.

    `sides` are the letters of what is at the left and at the right border, None where no file says it.
    """

    address: str
    plane: str
    words: str
    sides: tuple[str, str] | None


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


def plane_pictures(
    case: CaseArrays,
    name: str,
    width_pixels: int,
    codes: Sequence[int],
    planes: Sequence[str] = tuple(PLANES),
) -> list[EmbeddedPicture]:
    """Planes through the largest cross-section of the reference (of the prediction, if that is empty).

    The right of the patient is on the left of axial and coronal pictures, the front on the left of sagittal ones.

    Args:
        case: as `read_case` gives it.
        name: of the case and the run, for the words that stand for the picture.
        width_pixels: of each picture.
        codes: of all classes, whose outlines have the colours that `outline_colours` gives.
        planes: which of axial, coronal and sagittal; a picture with two axes has one plane.
    """
    shown = case.reference if case.reference.any() else case.prediction
    if case.reference.ndim == 2:
        return [outlined_picture(case, "picture", name, width_pixels, codes)]
    return [
        outlined_picture(slice_of(case, plane, largest_slice(shown, plane)), plane, name, width_pixels, codes)
        for plane in planes
    ]


def outlined_picture(
    flat: CaseArrays, plane: str, name: str, width_pixels: int, codes: Sequence[int]
) -> EmbeddedPicture:
    """A square around the reference, or around the prediction where there is none, with outlines of both.

    Args:
        flat: a picture with two axes, or what `slice_of` gives.
        plane: what is shown, for the words.
        name, width_pixels, codes: as for `plane_pictures`; without codes there are no outlines.
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
    address = data_address(figure, "jpeg", pil_kwargs={"quality": 86, "subsampling": 0}, facecolor="black")
    sides = SIDES.get(plane) if flat.oriented else None
    words = f"{name}, {plane} plane" + (f", {SIDE_NAMES[sides[0]]} at the left" if sides else "")
    return EmbeddedPicture(address, plane, words, sides)


def _window(flat: CaseArrays) -> tuple[tuple[float, float], tuple[float, float]]:
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
