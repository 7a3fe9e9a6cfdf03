"""What the greys of a mask's picture mean: codes, black and white, or their soft edges. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.data.file_formats import is_lossy, is_picture
from mednoisy.data.images import distinct_values, listed, read_image
from mednoisy.errors import UserError

BLACK_UP_TO, WHITE = 127, 255
WHITES = (254, 255, 65535)  # what programs write for white; 254 comes of arithmetic with fractions
SOFT_FROM, SOFT_TO = 32, 223  # greys that only soft edges have, not the noise beside black and white
LOSSY_FROM, LOSSY_TO = 64, 191  # the same beside an edge that JPEG has blurred
FLAT_PIXELS, FLAT_GREYS = 5, 8  # an area of that side within so few greys is no edge
LONE_PIXELS, LONE_LOSSY_PIXELS = 10, 16  # connected pixels of one grey with nothing brighter or nothing darker beside
LONE_SHARE = 0.8  # of such pixels that are of one grey
RING_PIXELS = 8  # of one grey that part black from white everywhere
LOW_CODES = 8  # greys below are no camera's black: those of published masks with noise lie at 8 to 28
MOST_CODES = 64  # different greys below white that may still be codes


@dataclass(frozen=True)
class FolderGreys:
    """What greys mean in all pictures of a folder, so that no mask is read otherwise than the one beside it.

    Attributes:
        white: the grey that is code 1, those between are edges; None where greys are codes.
        codes: the greys that occur below those of soft edges, 0 left out.
    """

    white: int | None
    codes: tuple[int, ...] = ()


def greys_of_folder(
    paths: Iterable[Path], mapping: Mapping[int, int] | None = None, ignore: Collection[int] = (), workers: int = 1
) -> FolderGreys | None:
    """What greys mean in these files; None where none of them is a picture that keeps its greys.

    White is the brightest grey of all, if it is one of `WHITES` and the folder holds no codes above 1 beside it.

    Args:
        mapping, ignore: as for `read_label_map`: codes replaced, and codes that are left out.
        workers: threads.
    """
    pictures = [path for path in paths if is_picture(path)]
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        found = [values for values in pool.map(_greys, pictures) if values is not None]
    if not found:
        return None
    replaced = dict(mapping or {})
    greys = {replaced.get(grey, grey) for values in found for grey in values} - {0, *ignore}
    codes = tuple(sorted(grey for grey in greys if grey < SOFT_FROM))
    white = max(greys, default=0)
    alone = white in WHITES and codes in ((), (1,))
    soft = any(SOFT_FROM <= grey < white for grey in greys)
    return FolderGreys(white if white in WHITES and (alone or soft) else None, codes)


def _greys(path: Path) -> list[int] | None:
    """The greys of a picture; None for what says nothing of its folder: JPEG, colours, damaged files."""
    try:
        array = read_image(path, "label").array
    except UserError:  # told when the case is read
        return None
    if array.dtype.kind not in "ui" or is_lossy(path) or (array.ndim == 3 and (array != array[..., :1]).any()):
        return None
    return [int(value) for value in distinct_values(array[..., 0] if array.ndim == 3 else array)]


def codes_of_greys(
    greys: np.ndarray, codes: Collection[int] | None, folder: FolderGreys | None, path: Path, case: str | None
) -> tuple[np.ndarray, str]:
    """Codes, and a note of what was read into them; refuses greys whose meaning is not known.

    Args:
        greys: whole numbers, mapped.
        codes: what may occur; None for anything.
        folder: what greys mean in all of its folder; None: by itself, white is 255.

    Raises:
        UserError: E224.
    """
    values = distinct_values(greys)
    if codes is not None and ({*codes} - {0} != {1} or {*values.tolist()} <= {0, 1}):
        return greys, ""
    white = WHITE if folder is None else folder.white
    if white is None and folder is not None:
        _check_codes(greys, values, folder, path, case)
        return greys, ""
    if folder is None and values[-1] != white:
        if codes is None and values[-1] < WHITE:
            _check_codes(greys, values, FolderGreys(None), path, case)
        return greys, ""
    if {*values.tolist()} <= {0, 1}:
        return greys, ""
    assert white is not None
    return _cut_at_half(greys, values, white, path, case)


def _check_codes(greys: np.ndarray, values: np.ndarray, folder: FolderGreys, path: Path, case: str | None) -> None:
    """Refuse greys that are no codes: a mark among codes, probabilities, soft edges without white."""
    if folder.codes and values[-1] in WHITES:
        others = listed([str(code) for code in folder.codes], 20)
        cause = f"{path} holds {values[-1]}, no class in a folder of codes {others}: a mark?"
        cure = f"Leave such pixels out by --ignore {values[-1]}, or name the classes by --labels"
        raise UserError("E224", cause, cure, case=case)
    if len(values) > MOST_CODES:
        cause = f"{path} has {len(values)} greys below white, which look like probabilities"
        cure = "Threshold them into a mask of 0 and 255, or name the codes by --labels"
        raise UserError("E224", cause, cure, case=case)
    soft = [int(value) for value in values if value >= SOFT_FROM]
    if len(soft) > 1 and class_grey(greys) is None:
        cause = f"{path} holds {listed([str(value) for value in soft])} and no white: soft edges, or classes?"
        raise UserError("E224", cause, "Store a mask of 0 and 255, or name the classes by --labels", case=case)


def cut_lossy(greys: np.ndarray, path: Path, case: str | None) -> tuple[np.ndarray, str]:
    """0 and 255 of a JPEG, in which codes do not survive, and a note."""
    brightest = greys.max()
    if 0 < brightest <= BLACK_UP_TO:
        cause = f"{path} is a JPEG whose brightest grey is {brightest}: codes do not survive JPEG, white is 255"
        raise UserError("E224", cause, "Store the mask as PNG", case=case)
    _refuse_classes(class_grey(greys, lossy=True), path, case)
    return np.where(greys > BLACK_UP_TO, WHITE, 0).astype(np.uint8), f"greys thresholded at {BLACK_UP_TO}"


def _cut_at_half(
    greys: np.ndarray, values: np.ndarray, white: int, path: Path, case: str | None
) -> tuple[np.ndarray, str]:
    """0 and 1, and a note; refuses greys that are neither black, white nor an edge."""
    between = values[(values != 0) & (values != white)]
    if not len(between):
        return (greys == white).astype(np.uint8), f"white ({white}) read as code 1"
    scale = white / WHITE
    if between.max() < SOFT_FROM * scale:
        cause = f"{path} holds {', '.join(map(str, between))} beside white ({white}): codes with a mark, or soft edges?"
        cure = f"Store white alone; `evaluate` can leave a mark out (--ignore {white}), or map it (--map {white}=0)"
        raise UserError("E224", cause, cure, case=case)
    grey = class_grey(greys, scale)
    if grey is not None and len(between) > MOST_CODES:
        cause = f"{path} has {len(between)} greys between black and white, which look like probabilities"
        raise UserError("E224", cause, "Threshold them into a mask of 0 and 255", case=case)
    _refuse_classes(grey, path, case)
    threshold = int(BLACK_UP_TO * scale)
    return (greys > threshold).astype(np.uint8), f"greys thresholded at {threshold}"


def _refuse_classes(grey: int | None, path: Path, case: str | None) -> None:
    if grey is not None:
        cause = f"{path} has areas or lines of grey {grey} that are no soft edge: more classes than black and white?"
        cure = (
            f"Store codes as PNG; `evaluate` can also name each (--map {grey}=CODE) or leave it out (--ignore {grey})"
        )
        raise UserError("E224", cause, cure, case=case)


def class_grey(greys: np.ndarray, scale: float = 1.0, *, lossy: bool = False) -> int | None:
    """A grey that is neither black, white nor an edge, at whatever width; None where there is none.

    An edge leads from darker to brighter pixels. What does not: an area of one grey; connected pixels of one grey with
    nothing brighter or nothing darker beside them, as a line of another class has; a single grey that parts black
    from white everywhere, as a drawn outline does; an area of one of the lowest codes.

    Args:
        scale: of the greys, 1 for 8 bits.
        lossy: after JPEG, whose noise looks like thin lines: only coarser ones are found.
    """
    low, high = SOFT_FROM * scale, SOFT_TO * scale
    soft = (greys >= low) & (greys <= high)
    lowest = (greys > 0) & (greys < LOW_CODES) if not lossy else np.zeros(greys.shape, bool)
    if not soft.any() and not lowest.any():
        return None
    from scipy.ndimage import maximum_filter, minimum_filter

    within = FLAT_GREYS * scale
    darkest, brightest = minimum_filter(greys, FLAT_PIXELS), maximum_filter(greys, FLAT_PIXELS)
    flat = (darkest >= low) & (brightest <= high) & (brightest - darkest <= within)
    if flat.any():
        return int(np.median(greys[flat]))
    darkest, brightest = minimum_filter(greys, 3), maximum_filter(greys, 3)
    even = lowest & (darkest == brightest)
    if even.any():
        return int(np.median(greys[even]))
    if not soft.any():
        return None
    if lossy:
        soft = (greys >= LOSSY_FROM) & (greys <= LOSSY_TO)
    lone = soft & ((brightest < greys + 2 * scale) | (darkest + 2 * scale > greys))
    found = _of_one_grey(greys, lone, within * (4 if lossy else 1), LONE_LOSSY_PIXELS if lossy else LONE_PIXELS)
    if found is not None or lossy:
        return found
    values = distinct_values(greys[soft][None])
    beside = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    white_meets_black = ((greys > high) & (minimum_filter(greys, footprint=beside) < low)).any()
    ring = values[-1] - values[0] <= scale and soft.sum() >= RING_PIXELS and not white_meets_black
    return int(values[0]) if ring and (greys > high).any() else None


def _of_one_grey(greys: np.ndarray, lone: np.ndarray, within: float, least: int) -> int | None:
    """The grey of connected pixels, so many at least, most of which have it."""
    from scipy.ndimage import find_objects, label

    parts, count = label(lone, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    for number, place in enumerate(find_objects(parts), 1):
        if sizes[number] >= least:
            values = greys[place][parts[place] == number].astype(np.float64)
            middle = float(np.median(values))
            if np.mean(np.abs(values - middle) <= within) >= LONE_SHARE:
                return int(middle)
    return None
