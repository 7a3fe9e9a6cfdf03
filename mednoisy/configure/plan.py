"""From what a dataset and a machine are like to the entries of a bundle's page, each with its reason: no files here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mednoisy.configure import patches
from mednoisy.configure.budget import FEWEST_STEPS, fastest, most_voxels
from mednoisy.configure.fingerprint import Fingerprint
from mednoisy.configure.machine import Machine
from mednoisy.configure.networks import CONVOLUTIONS, DEEPLAB, FAMILIES, FLAT_STRIDES, pair_of
from mednoisy.configure.normalisation import normalisation_for
from mednoisy.configure.reasons import by, by_levels, why_slices, why_spacing, why_volumes
from mednoisy.configure.sides import flips_for

TRAINING_SHARE = 0.7  # of the minutes; the rest is for validation, figures and predictions
MOST_STEPS = 15_000
FULL_WIDTH = 16  # of V-Net, as published
LEAST_PATCH = 64 * 64 * 48  # voxels; networks of full width need a machine that trains on these
LEAST_BATCH_2D = 4
MOST_SIDE = {"slices": 320, "pictures": 352}  # as long as the shipped bundles' or a little longer

CHANNELS_LAST = "$@precision == 'bf16' and @width < 16"  # as in the bundle `left_atrium`
SLICES_EPOCH = "$10 * len(@train#slices) // (@batch_size // 2) * (@batch_size // 2)"


@dataclass(frozen=True)
class Choice:
    """A line of the table "Why these settings"."""

    name: str
    value: str
    reason: str


@dataclass
class Plan:
    """The setting.

    Attributes:
        kind: of the bundle.
        entries: of its page, in order, but for `about`.
        choices: why.
        patch, batch, width, precision, multiple: as the entries have them, in numbers.
        strides: of each level of the networks in 3D, below the first.
        normalised: what becomes of intensities, in words.
        unlabeled: whether there are images without labels, two at least, of which a step can draw.
    """

    kind: str
    patch: list[int]
    batch: int
    width: int
    precision: str
    multiple: int | list[int]
    normalised: str
    unlabeled: bool
    strides: list[list[int]] = field(default_factory=list)
    entries: dict[str, Any] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)

    def tell(self, name: str, value: object, reason: str) -> None:
        """Add a line to the table."""
        self.choices.append(Choice(name, str(value), reason))

    @property
    def megavoxels(self) -> float:
        """Of the labeled half of a step."""
        return self.batch * math.prod(self.patch) / 1e6


def plan(
    fingerprint: Fingerprint,
    machine: Machine,
    minutes: float = 60,
    seconds_a_step: float | None = None,
    family: str = "mednoisy",
) -> Plan:
    """The setting for a dataset on a machine.

    Args:
        machine: with its speeds.
        minutes: that a training with its validation and figures may take.
        seconds_a_step: as measured with this very setting; None for what speeds say.
        family: of networks, one of `FAMILIES`; the machine's speeds are of these.
    """
    kind = patches.kind_of(fingerprint)
    budget = 60 * minutes * TRAINING_SHARE
    volumes = kind == "volumes"
    if volumes:
        planned = _volumes(fingerprint, machine, budget, family)
    else:
        planned = _flat(kind, fingerprint, machine, budget, family)
    if kind == "slices" and not fingerprint.located:
        axis = min(range(3), key=lambda each: fingerprint.median_size[each])
        planned.entries["slices"] = axis
        planned.tell("slices", axis, "no file states how large voxels are, so the shortest axis is cut")
    _common(planned, fingerprint, machine)
    _steps(planned, machine, minutes, budget, seconds_a_step or planned.megavoxels * _speed(planned, machine))
    return planned


def _volumes(fingerprint: Fingerprint, machine: Machine, budget: float, family: str) -> Plan:
    """Spacing, patch and networks in 3D."""
    resampled = fingerprint.located
    first = patches.target_spacing(fingerprint) if resampled else fingerprint.median_spacing
    widest = max(speed.width for speed in machine.speeds)
    speed = fastest(machine, widest)
    batch, slower = 2, ""
    most = most_voxels(speed, machine, budget, batch, fingerprint, family)
    if most < LEAST_PATCH and machine.gpu_gib is None and len({each.width for each in machine.speeds}) > 1:
        speed = fastest(machine, min(each.width for each in machine.speeds))
        most = most_voxels(speed, machine, budget, batch, fingerprint, family)
        slower = f"with {widest} a patch of 64x64x48 would take too long"
    spacing, coarser = first, False
    patch, strides = patches.patch_for(patches.size_at(fingerprint, first), first, most)
    if resampled and machine.gpu_gib is None:
        spacing, patch, strides = patches.coarsened(fingerprint, first, most)
        coarser = spacing != first
    if machine.gpu_gib is not None and math.prod(patch) <= most_voxels(speed, machine, budget, 4, fingerprint, family):
        batch = 4
    along = [math.prod(level[axis] for level in strides) for axis in range(3)]
    multiple: int | list[int] = along[0] if len(set(along)) == 1 else along
    normalisation, words, why = normalisation_for(fingerprint)
    planned = Plan(
        "volumes", patch, batch, speed.width, speed.precision, multiple, words, fingerprint.unlabeled_cases > 1, strides
    )
    planned.tell("kind", "volumes", why_volumes(fingerprint))
    if resampled:
        planned.entries["spacing"] = spacing
        planned.tell("spacing (mm)", by(spacing), why_spacing(fingerprint, coarser=coarser))
    else:
        reason = "as stored: " + ("images keep their own grid" if fingerprint.located else "no file states millimetres")
        planned.tell("spacing", by(first), reason)
    held = math.prod(patch) / math.prod(patches.size_at(fingerprint, spacing))
    limit = f"what {machine.called} can train on in time and memory, {held:.0%} of the median image"
    whole = "the whole median image" if held >= 1 else f"{limit}: a cube in millimetres no longer than it (nnU-Net)"
    planned.tell("patch_size", by(patch), whole)
    planned.tell("strides", by_levels(strides), "an axis is halved while it is within twice the finest, and 8 long")
    planned.tell("width", speed.width, slower or "as published")
    networks = _pair(family, 3, fingerprint, speed.width, strides)
    planned.entries |= {"width": speed.width, "channels_last": CHANNELS_LAST}
    if family == "mednoisy":
        dropout = 0.5 if speed.width >= FULL_WIDTH else 0.1
        planned.tell("head_dropout", dropout, "as published" if dropout == 0.5 else "of few channels half are too many")
        planned.entries["head_dropout"] = dropout
        networks = [{**network, "head_dropout": "@head_dropout"} for network in networks]
    if normalisation:
        planned.entries["normalisation"] = normalisation
    planned.entries |= dict(zip(("network_def", "partner_def"), networks, strict=True))
    planned.tell("normalisation", words, why)
    each = (
        f"V-Net's convolutions {CONVOLUTIONS[: len(strides) + 1]}" if family == "mednoisy" else "two convolutions each"
    )
    planned.tell("networks", family, FAMILIES[family])
    planned.tell("levels", len(strides) + 1, each)
    half = [max(1, side // 2) for side in patch]
    planned.entries |= {"patch_size": patch, "coarse_stride": half if machine.gpu_gib else patch, "stride": half}
    return planned


def _flat(kind: str, fingerprint: Fingerprint, machine: Machine, budget: float, family: str) -> Plan:
    """Patch and networks in 2D."""
    speed = fastest(machine, max(each.width for each in machine.speeds))
    drawn = patches.drawn_at_most(kind, fingerprint)
    batch = min(24 if machine.gpu_gib is not None else 12, drawn)  # the patch grows where a batch has to be small
    most = most_voxels(speed, machine, budget, batch, fingerprint, family)
    while most < patches.LEAST_SIDE_2D**2 * 2 and batch > LEAST_BATCH_2D:
        batch = max(LEAST_BATCH_2D, batch // 2)  # even, for methods pair the images of a batch
        most = most_voxels(speed, machine, budget, batch, fingerprint, family)
    pixels = min(most, MOST_SIDE[kind] ** 2)
    unlabeled = fingerprint.unlabeled_cases > 1
    normalisation, words, why = normalisation_for(fingerprint)
    planned = Plan(kind, [], batch, speed.width, speed.precision, patches.SIDE_2D, words, unlabeled)
    planned.entries["width"] = speed.width
    planned.tell("kind", kind, "images are pictures" if kind == "pictures" else why_slices(fingerprint))
    if kind == "pictures":
        planned.patch = patches.picture_size(fingerprint.median_size, pixels)
        size = by([round(each) for each in fingerprint.median_size])
        limit = f"the median picture is {size}, and so much {machine.called} can train on in the time"
        planned.tell("patch_size", by(planned.patch), f"all pictures are resized to it: {limit}")
        planned.entries |= {"patch_size": planned.patch, "network_def": "%unet_def", "colour": True}
        if family == "mednoisy":
            planned.tell(
                "network", "unet_def", "without weights of ImageNet; deeplab_def and --pretrained where you have them"
            )
        else:
            planned.tell("networks", family, FAMILIES[family])
            pair = _pair(family, 2, fingerprint, speed.width, FLAT_STRIDES)
            planned.entries |= dict(zip(("network_def", "partner_def"), pair, strict=True))
        planned.entries["deeplab_def"] = DEEPLAB
    else:
        _squares(planned, fingerprint, math.isqrt(int(pixels)))
        pair = _pair(family, 2, fingerprint, speed.width, FLAT_STRIDES)
        planned.entries |= dict(zip(("network_def", "partner_def"), pair, strict=True))
        planned.tell("networks", family, FAMILIES[family])
        planned.entries |= {"dice": "batch_squared", "paper_epoch": SLICES_EPOCH}
        planned.tell("dice", "batch_squared", "over the batch, for many slices lack a class")
        if normalisation:
            planned.entries["normalisation"] = normalisation
    planned.tell("normalisation", words, why)
    return planned


def _pair(
    family: str, axes: int, fingerprint: Fingerprint, width: int, strides: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Entries of two networks, as a page has them."""
    channels = len(fingerprint.channels)
    return pair_of(family, axes, channels, "@num_classes", width, strides, norm="@norm", page=True)


def _squares(planned: Plan, fingerprint: Fingerprint, most: int) -> None:
    """Side and spacing of the squares that slices are cut or filled to."""
    cut = patches.cut_axis(fingerprint)
    plane = [axis for axis in range(3) if axis != cut]
    grids = list(zip(fingerprint.sizes, fingerprint.spacings, strict=True))
    lengths = [size[axis] * step[axis] for axis in plane for size, step in grids]
    finest = max(fingerprint.median_spacing[axis] for axis in plane)
    reach = 1.25 * max(fingerprint.reach[axis] for axis in plane)
    length = min(max(lengths), max(reach, 0.75 * max(fingerprint.median_extent[axis] for axis in plane)))
    side, spacing = patches.side_for(length, finest, most)
    planned.patch = [side, side]
    planned.entries["patch_size"] = planned.patch
    if not fingerprint.located:
        planned.tell("patch_size", by(planned.patch), "no file states millimetres: slices are stretched to it")
        return
    planned.entries["plane_spacing"] = spacing
    enough = "at the median spacing" if spacing == finest else "as many pixels as the time allows"
    covered = f"{side * spacing:.0f} mm around the centre hold all labeled foreground with a quarter to spare"
    planned.tell("patch_size", by(planned.patch), f"{covered}; {enough}")
    median = "the median" if spacing == finest else f"coarser than the median of {finest:.3g}, so that the patch fits"
    planned.tell("plane_spacing (mm)", f"{spacing:g}", median)


def _common(planned: Plan, fingerprint: Fingerprint, machine: Machine) -> None:
    """What all kinds have."""
    on = "a GPU" if machine.gpu_gib is not None else "a CPU"
    fast = "it is the quicker one here" if planned.precision == "bf16" else "bf16 gains nothing here"
    drawn = patches.drawn_at_most(planned.kind, fingerprint)
    smaller = planned.batch >= drawn
    planned.batch = min(planned.batch, drawn)
    planned.entries |= {
        "label_names": list(fingerprint.labels),
        "labeled": fingerprint.labeled_patients,
        "validation": 0,
        "batch_size": planned.batch,
        "precision": planned.precision,
    }
    planned.tell(
        "labeled",
        fingerprint.labeled_patients,
        "all patients (cases where none are named) with labels; --labeled N keeps N of them",
    )
    why = f"small, for {on}: a larger patch teaches more than a larger batch"
    if smaller:
        why = "a step draws different cases, of three quarters of those with labels, for folds hold some out"
    planned.tell("batch_size", planned.batch, why)
    planned.tell("precision", planned.precision, f"{fast}, measured")
    transforms, words, reason = flips_for(planned.kind, fingerprint)
    if transforms is not None:
        planned.entries["train#spatial#transforms"] = transforms
    planned.tell("mirroring", words, reason)
    if planned.kind == "volumes":
        reason = "half a patch, as nnU-Net; while training a whole one on a CPU"
        planned.tell("stride", by(planned.entries["stride"]), reason)


def _steps(planned: Plan, machine: Machine, minutes: float, budget: float, seconds: float) -> None:
    """As many steps as the time allows."""
    steps = max(100, min(MOST_STEPS, int(budget / seconds) // 100 * 100))
    every = max(10, steps // 10)
    planned.entries |= {"steps": steps, "epoch_length": max(10, steps // 50), "val_interval": every}
    reason = f"{minutes:g} minutes on {machine.called}, of which {TRAINING_SHARE:.0%} train, at {seconds:.2g} s a step"
    few = FEWEST_STEPS["cpu" if machine.gpu_gib is None else "gpu"]
    most = "; no more than the shipped bundles take" if steps == MOST_STEPS else ""
    note = (
        most if steps >= few else f"; few: with --minutes {math.ceil(minutes * few / steps / 10) * 10} there are {few}"
    )
    planned.tell("steps", steps, reason + (" of SDCL when nothing else runs" if machine.gpu_gib is None else "") + note)


def _speed(planned: Plan, machine: Machine) -> float:
    of_plan = (planned.width, planned.precision)
    return next(each.seconds for each in machine.speeds if (each.width, each.precision) == of_plan)
