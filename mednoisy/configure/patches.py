"""Spacing, patch and strides of volumes by the rules that nnU-Net published; sizes of slices and pictures.

The rules are those of Isensee et al. 2021 (Nature Methods 18, arXiv:1904.08128), in words of our own. Departures are
said where they are: kernels stay 3 along coarse axes, and a patch is bound by time as well as by memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mednoisy.configure.fingerprint import Fingerprint

ANISOTROPIC = 3.0  # nnU-Net: one axis so much coarser than the others, and so much shorter, is treated apart
COARSE_PERCENTILE = 10.0  # nnU-Net: its target spacing is this percentile of the axis' spacings, not the median
FEW_SLICES = 16  # ours: fewer of them, anisotropic, and images are seen slice by slice
SMALLEST_MAP = 4  # nnU-Net: an axis is halved while at least so many voxels remain, from 8 on
ALONE = 3 * SMALLEST_MAP  # nnU-Net: an axis that is halved alone has to be longer
LIKE_FINEST = 2.0  # nnU-Net: and while its spacing is within this factor of the finest axis'
MOST_LEVELS = 5  # of V-Net as published; nnU-Net has 6
SIDE_2D = 16  # what networks in 2D need sides to be multiples of, with five levels
LEAST_SIDE_2D = 64  # so that the lowest of five levels has 4 x 4
COVERED = 0.25  # nnU-Net coarsens images of whose volume a patch would hold less
COARSEST = 2.0  # ours: not by more than this factor


def is_anisotropic(spacing: Sequence[float], size: Sequence[float]) -> bool:
    """Whether one axis is so much coarser, and so much shorter, than both others."""
    axis = int(np.argmax(spacing))
    others = [other for other in range(len(spacing)) if other != axis]
    coarser = spacing[axis] > ANISOTROPIC * max(spacing[other] for other in others)
    shorter = size[axis] * ANISOTROPIC < min(size[other] for other in others)
    return coarser and shorter


def kind_of(fingerprint: Fingerprint) -> str:
    """`pictures`, `volumes` or `slices`: the last for anisotropic volumes of few slices, or of too few to be halved."""
    if fingerprint.pictures:
        return "pictures"
    size, spacing = fingerprint.median_size, fingerprint.median_spacing
    if min(size) < 2 * SMALLEST_MAP:
        return "slices"
    return "slices" if is_anisotropic(spacing, size) and size[int(np.argmax(spacing))] < FEW_SLICES else "volumes"


def target_spacing(fingerprint: Fingerprint) -> list[float]:
    """The median along each axis; where images are anisotropic, along the coarse one their 10th percentile.

    It is never made finer than the others by that.
    """
    spacing = fingerprint.median_spacing
    if is_anisotropic(spacing, fingerprint.median_size):
        axis = int(np.argmax(spacing))
        fine = float(np.percentile([each[axis] for each in fingerprint.spacings], COARSE_PERCENTILE))
        spacing[axis] = max(fine, max(spacing[:axis] + spacing[axis + 1 :]))
    return [float(f"{each:.4g}") for each in spacing]


def size_at(fingerprint: Fingerprint, spacing: Sequence[float]) -> list[int]:
    """The median size of images that are brought to a spacing."""
    return [max(1, round(length / step)) for length, step in zip(fingerprint.median_extent, spacing, strict=True)]


def strides_for(patch: Sequence[int], spacing: Sequence[float], levels: int = MOST_LEVELS) -> list[list[int]]:
    """Of each level below the first: 2 along axes that are still like the finest and 8 voxels or longer, else 1."""
    size, step, strides = list(patch), list(spacing), []
    for _ in range(levels - 1):
        long = [axis for axis, each in enumerate(size) if each >= 2 * SMALLEST_MAP]
        finest = min((step[axis] for axis in long), default=0.0)
        halved = [axis for axis in long if step[axis] < LIKE_FINEST * finest]
        if not halved or (len(halved) == 1 and size[halved[0]] < ALONE):
            break
        strides.append([2 if axis in halved else 1 for axis in range(len(size))])
        size = [each // stride for each, stride in zip(size, strides[-1], strict=True)]
        step = [each * stride for each, stride in zip(step, strides[-1], strict=True)]
    return strides


def patch_for(size: Sequence[int], spacing: Sequence[float], most: float) -> tuple[list[int], list[list[int]]]:
    """The patch of at most `most` voxels and its strides: a cube in millimetres, no longer than the median image.

    The axis of which the patch holds most is shortened until it fits, by what the strides ask for.
    """
    cube = [(most * math.prod(spacing)) ** (1 / 3) / step for step in spacing]
    patch = [max(SMALLEST_MAP, min(round(side), whole)) for side, whole in zip(cube, size, strict=True)]
    patch, strides = _whole(patch, size, spacing)
    while math.prod(patch) > most:
        order = sorted(range(3), key=lambda axis: patch[axis] / size[axis], reverse=True)
        shorter = [axis for axis in order if patch[axis] - _multiple(strides, axis) >= 2 * SMALLEST_MAP]
        if not shorter:
            break
        patch[shorter[0]] -= _multiple(strides, shorter[0])
        patch, strides = _whole(patch, size, spacing)
    return patch, strides


def coarsened(
    fingerprint: Fingerprint, spacing: Sequence[float], most: float
) -> tuple[list[float], list[int], list[list[int]]]:
    """Spacing, patch and strides where a patch shall hold a quarter of an image: nnU-Net's low resolution.

    Axes finer than half the coarsest grow first; none by more than `COARSEST`.
    """
    now = list(spacing)
    while True:
        size = size_at(fingerprint, now)
        patch, strides = patch_for(size, now, most)
        held = math.prod(min(side, whole) for side, whole in zip(patch, size, strict=True)) / math.prod(size)
        if held >= COVERED or max(a / b for a, b in zip(now, spacing, strict=True)) >= COARSEST:
            return [float(f"{each:.4g}") for each in now], patch, strides
        fine = [step * LIKE_FINEST < max(now) for step in now]
        grown = [step * 1.03 if each or not any(fine) else step for step, each in zip(now, fine, strict=True)]
        now = [min(step, COARSEST * first) for step, first in zip(grown, spacing, strict=True)]


def side_for(length: float, spacing: float, most: int) -> tuple[int, float]:
    """Pixels and spacing of a square that is `length` long, of at most `most` pixels a side."""
    side = up_to_multiple(length / spacing)
    if side <= most:
        return max(side, LEAST_SIDE_2D), spacing
    side = max(LEAST_SIDE_2D, most // SIDE_2D * SIDE_2D)
    return side, float(f"{length / side:.3g}")


def picture_size(size: Sequence[float], most: float) -> list[int]:
    """Rows and columns of at most `most` pixels in the shape of pictures of `size`, larger than these only below 64."""
    shrink = min(1.0, math.sqrt(most / math.prod(size)))
    return [max(LEAST_SIDE_2D, int(side * shrink / SIDE_2D + 1e-6) * SIDE_2D) for side in size]


def cut_axis(fingerprint: Fingerprint) -> int:
    """The axis along which slices lie: that of the coarsest voxels, or the shortest where all are alike."""
    spacing, size = fingerprint.median_spacing, fingerprint.median_size
    coarsest = max(range(3), key=lambda axis: spacing[axis])
    alike = max(spacing) < 1.01 * min(spacing)
    return min(range(3), key=lambda axis: size[axis]) if alike else coarsest


def drawn_at_most(kind: str, fingerprint: Fingerprint) -> int:
    """How many different crops a step can draw, even from two on: for methods pair the images of a batch."""
    images = fingerprint.labeled_cases
    if fingerprint.unlabeled_cases > 1:
        images = min(images, fingerprint.unlabeled_cases)
    slices = min(size[cut_axis(fingerprint)] for size in fingerprint.sizes) if kind == "slices" else 1
    drawn = max(images * 3 // 4, min(images, 2)) * slices
    return drawn // 2 * 2 if drawn > 1 else 1


def up_to_multiple(length: float) -> int:
    """The next multiple of what networks in 2D need."""
    return math.ceil(length / SIDE_2D - 1e-6) * SIDE_2D


def _multiple(strides: Sequence[Sequence[int]], axis: int) -> int:
    return math.prod(level[axis] for level in strides)


def _whole(patch: Sequence[int], size: Sequence[int], spacing: Sequence[float]) -> tuple[list[int], list[list[int]]]:
    """The patch at multiples of what its strides ask for, and the strides: rounded down, or up where images end."""
    strides = strides_for(patch, spacing)
    whole = []
    for axis, side in enumerate(patch):
        multiple = _multiple(strides, axis)
        rounded = math.ceil(side / multiple) if side >= size[axis] else max(1, round(side / multiple))
        whole.append(rounded * multiple)
    again = strides_for(whole, spacing)
    fits = all(side % _multiple(again, axis) == 0 for axis, side in enumerate(whole))
    return whole, again if fits else strides
