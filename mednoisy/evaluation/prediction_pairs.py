"""Which files belong together, by name; and whether they lie on one grid, by physical space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff

from mednoisy.data.file_matching import MADE_BY, best_match, files_by_id, namings
from mednoisy.data.formats.voxels import UPRIGHT
from mednoisy.data.image_pairs import SAME_PLACE, corners_apart_mm, same_size
from mednoisy.data.images import Image, listed
from mednoisy.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A prediction and its reference, with their image where there is one."""

    id: str
    prediction: Path
    reference: Path
    image: Path | None = None


@dataclass(frozen=True)
class PairedFolders:
    """What two folders have in common, sorted by id, and the ids that only one of them has."""

    pairs: tuple[Pair, ...]
    unmatched_predictions: tuple[str, ...] = ()
    unmatched_references: tuple[str, ...] = ()


def find_pairs(
    predictions: Path,
    references: Path,
    images: Path | None = None,
    *,
    strip: Sequence[str] = (),
    allow_missing: bool = False,
) -> PairedFolders:
    """Pair the files of known formats below two folders, and images with them.

    A file's id is its path below the folder without suffix: "021", "site A/021". Where all files of a folder have
    the same name ("021/seg.nii.gz", "022/seg.nii.gz") the id ends with the folder ("021"), unless more pairs are
    found with the name. Hidden files and folders are left out, folders that are links are not followed, and folders
    below the predictions in which `mednoisy predict --others` put those of other predictors are no part of them.

    Args:
        predictions, references: folders, searched at any depth.
        images: folder of the images; a case without one has None.
        strip: endings that are cut off names, such as "_segmentation".
        allow_missing: leave out ids without partner instead of refusing.

    Raises:
        UserError: E420 no such folder, or nothing of a known format in it; E421 an id twice in a folder; E422 no id
            in common; E423 ids without partner.
    """
    named = files_by_id(Path(predictions), strip, without=MADE_BY), files_by_id(Path(references), strip)
    of_predictions, of_references = best_match(*named)
    common = sorted(of_predictions.keys() & of_references.keys())
    unmatched_predictions = sorted(of_predictions.keys() - of_references.keys())
    unmatched_references = sorted(of_references.keys() - of_predictions.keys())
    if not common:
        _refuse_strangers(predictions, of_predictions, references, of_references)
    if not allow_missing and (unmatched_predictions or unmatched_references):
        unmatched = [
            (unmatched_predictions, "prediction", "reference"),
            (unmatched_references, "reference", "prediction"),
        ]
        cause = "; ".join(f"no {partner} for {kind} {listed(ids)}" for ids, kind, partner in unmatched if ids)
        raise UserError(
            "E423", cause, "Add or rename files (--strip cuts endings), or leave them out by --allow-missing"
        )
    of_images: Mapping[str, Path] = {}
    if images is not None:
        known = {name: of_references[name] for name in common}
        of_images = max(namings(files_by_id(Path(images), strip)), key=lambda naming: len(naming.keys() & known.keys()))
        if not of_images.keys() & known.keys():
            _refuse_strangers(images, of_images, references, known)
    pairs = [Pair(name, of_predictions[name], of_references[name], of_images.get(name)) for name in common]
    return PairedFolders(tuple(pairs), tuple(unmatched_predictions), tuple(unmatched_references))


def on_grid_of(
    prediction: Image, reference: Image, *, strict: bool = False, case: str | None = None
) -> tuple[np.ndarray, str | None]:
    """The prediction's array on the reference's grid, and what there is to say about it.

    Grids are one if all corners lie within a hundredth of a voxel in physical space; an axis of length one, whichever
    it is, does not count. Where the prediction's axes are flipped or exchanged against the reference's they are put
    into its order, exactly, voxel by voxel. If one file does not say where it lies (`Image.placed`), sizes are
    compared, and voxel sizes where both files state them (`Image.located`); between a picture and a volume's format,
    columns are x and rows are y, unless the sizes fit only as stored.

    Returns:
        The array in the reference's shape; a note that follows a subject ("prediction ..."), or None.

    Raises:
        UserError: E424 grids that differ, each difference named; E425 flipped or exchanged axes under `strict`.
    """
    wanted = reference.shape
    prediction, reference = prediction.as_slice(), reference.as_slice()
    array, shape = prediction.array.reshape(_in_three_axes(prediction.shape)), _in_three_axes(reference.shape)
    both_placed = prediction.placed and reference.placed
    exchanged = array.swapaxes(0, 1)
    if exchanged.shape == shape and {prediction.order, reference.order} == {"rows", "xyz"}:
        ours, theirs = "columns as x and rows as y, for it", "x as columns and y as rows, for that"
        note = (
            f"compared with the reference by size alone, {ours if prediction.order == 'rows' else theirs} is a picture"
        )
        return np.ascontiguousarray(exchanged).reshape(wanted), note
    if array.shape == shape and not both_placed and _same_voxels(prediction, reference):
        return array.reshape(wanted), _unplaced_note(prediction, reference)
    nearest = _nearest_turn(prediction, reference) if both_placed else None
    if nearest is None or nearest.apart > SAME_PLACE * min(reference.spacing):
        cause = f"prediction and reference differ in {'; '.join(_differences(prediction, reference, nearest))}"
        cure = "Resample the prediction onto the reference's grid, to the nearest voxel"
        if {prediction.order, reference.order} == {"rows"}:
            cure = "Store both at one size"
            if prediction.shape == reference.shape[::-1]:
                cure = "One of them is turned, perhaps by its EXIF orientation, which is heeded: store both upright"
        raise UserError("E424", cause, cure, case=case)
    if not nearest.changes:
        return array.reshape(wanted), None
    axes = ["".join(nibabel.aff2axcodes(image.affine)) for image in (prediction, reference)]
    if strict:
        cause = f"the prediction's axes are {axes[0]}, the reference's {axes[1]}"
        raise UserError("E425", cause, "Store it in the reference's order, or call without --strict", case=case)
    turned = np.ascontiguousarray(apply_orientation(array, nearest.orientation))
    return turned.reshape(wanted), f"axes turned from {axes[0]} to {axes[1]}, as the reference has them"


def _same_voxels(prediction: Image, reference: Image) -> bool:
    """Whether voxels are of one size, as far as both files state it."""
    if not (prediction.located and reference.located):
        return True
    return same_size(reference.shape, reference.spacing, prediction.spacing)


def _unplaced_note(prediction: Image, reference: Image) -> str | None:
    """How two grids were compared of which one does not say where it lies; None for two pictures, or two files of
    a format that never says it."""
    if prediction.order == reference.order == "rows":
        if prediction.turned != reference.turned:
            stored = [f"{one.turned}" if one.turned != UPRIGHT else "none" for one in (prediction, reference)]
            return f"was turned by its EXIF orientation ({stored[0]}) otherwise than the reference ({stored[1]})"
        return None
    if not prediction.located and not reference.located:
        return None
    how = "size and voxel size" if prediction.located and reference.located else "size alone"
    holders = [name for name, one in (("it", prediction), ("the reference", reference)) if not one.placed]
    verb = "holds" if len(holders) == 1 else "hold"
    lacks = (
        f"{verb} no geometry" if how == "size alone" else "states no place" if len(holders) == 1 else "state no place"
    )
    return f"compared with the reference by {how}, for {' and '.join(holders)} {lacks}"


def _refuse_strangers(
    folder: Path, files: Mapping[str, Path], other_folder: Path, other_files: Mapping[str, Path]
) -> None:
    cause = f"{folder} and {other_folder} have no id in common"
    names = f"{min(files)!r} and {min(other_files)!r}"
    raise UserError("E422", cause, f"Name the files alike; now there are {names}, say. --strip ENDING cuts endings off")


def _in_three_axes(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape, 1)[:3]


@dataclass(frozen=True)
class _Turn:
    """A way to flip and exchange three axes, and where it brings the prediction."""

    orientation: np.ndarray  # as nibabel has it: for each axis its new number and its new sense
    changes: int
    affine: np.ndarray
    apart: float  # mm from the reference's corners, at most


def _nearest_turn(prediction: Image, reference: Image) -> _Turn | None:
    """The turn that fits with the fewest changes, or else comes nearest; None where sizes never agree."""
    stored, wanted = _in_three_axes(prediction.shape), _in_three_axes(reference.shape)
    turns = []
    for axes, senses in product(permutations(range(3)), product((1, -1), repeat=3)):
        if tuple(stored[axes.index(axis)] for axis in range(3)) == wanted:
            orientation = np.column_stack([axes, senses])
            affine = prediction.affine @ inv_ornt_aff(orientation, stored)
            changes = sum(axis != place for place, axis in enumerate(axes)) + senses.count(-1)
            apart = corners_apart_mm(wanted, affine, reference.affine)
            turns.append(_Turn(orientation, changes, affine, apart))
    fits = [turn for turn in turns if turn.apart <= SAME_PLACE * min(reference.spacing)]
    return min(fits, key=lambda turn: turn.changes) if fits else min(turns, key=lambda turn: turn.apart, default=None)


def _differences(prediction: Image, reference: Image, nearest: _Turn | None) -> list[str]:
    """What differs, with figures, the prediction's axes in the order that comes nearest."""
    if nearest is None:
        sizes = [_by(image.shape) for image in (prediction, reference)]
        spacings = [_by(image.spacing) for image in (prediction, reference)]
        is_spacing_other = prediction.located and reference.located and spacings[0] != spacings[1]
        spacing = [f"spacing ({spacings[0]} against {spacings[1]} mm)"] if is_spacing_other else []
        size = [f"size ({sizes[0]} against {sizes[1]})"] if sizes[0] != sizes[1] or not spacing else []
        return [*size, *spacing]
    tolerance = SAME_PLACE * min(reference.spacing)
    (steps, directions), (wanted_steps, wanted_directions) = _parts(nearest.affine), _parts(reference.affine)
    reach = np.maximum(np.array(_in_three_axes(reference.shape)) - 1, 0) * wanted_steps
    cosines = np.clip((directions * wanted_directions).sum(axis=0), -1, 1)[reach > 0]
    differences = []
    if (np.abs(steps / wanted_steps - 1) * reach > tolerance).any():
        differences.append(f"spacing ({_by(steps)} against {_by(wanted_steps)} mm)")
    if (np.linalg.norm(directions - wanted_directions, axis=0) * reach > tolerance).any():
        differences.append(f"direction (up to {np.degrees(np.arccos(cosines)).max():.3g} degrees)")
    if np.linalg.norm((nearest.affine - reference.affine)[:3, 3]) > tolerance:
        origins = [
            ", ".join(f"{place:.6g}" for place in affine[:3, 3]) for affine in (nearest.affine, reference.affine)
        ]
        differences.append(f"origin ({origins[0]} against {origins[1]} mm)")
    return [*differences, f"place (corners up to {nearest.apart:.3g} mm apart)"]


def _parts(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The length of a step along each axis, in mm, and its direction."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    return steps, affine[:3, :3] / steps


def _by(figures: Sequence[float] | np.ndarray) -> str:
    return "x".join(f"{figure:.6g}" for figure in figures)
