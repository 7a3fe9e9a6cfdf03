"""Peak memory of `case_metrics`, which must not depend on how much of the masks is surface."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from mednoisy.evaluation.bounding_boxes import union_box
from mednoisy.evaluation.metrics import case_metrics

CUBE, IMAGE, SLAB, THIN = (110, 110, 110), (1300, 1300), (280, 40, 280), (700, 4, 700)


def noise(shape, share=0.5):
    draw = np.random.Generator(np.random.PCG64(7))
    return tuple(draw.random((2, *shape)) < share)


def grid(shape):
    return np.ogrid[tuple(slice(size) for size in shape)]


def ball(shape, centre, radius):
    return sum((along - middle) ** 2 for along, middle in zip(grid(shape), centre, strict=True)) <= radius**2


def organs():
    return ball(CUBE, (55, 55, 55), 54), ball(CUBE, (50, 60, 52), 48)


def far_balls():
    return ball(CUBE, (22, 22, 22), 22), ball(CUBE, (87, 87, 87), 22)


def far_noise(shape):
    """Noise in the first third of the volume against noise in the last."""
    prediction, reference = noise(shape)
    prediction[shape[0] // 3 :], reference[: -shape[0] // 3] = False, False
    return prediction, reference


def dust_and_voxel():
    """Nearly all voxels are surface, and far from the other mask."""
    prediction = noise(CUBE, share=0.85)[0]
    reference = np.zeros(CUBE, bool)
    reference[0, 0, 0] = True
    return prediction, reference


def checkerboards(shape):
    parity = sum(grid(shape)) % 2
    return parity == 0, parity == 1


def sheets(shape):
    prediction, reference = np.zeros(shape, bool), np.zeros(shape, bool)
    prediction[:, 0] = reference[:, -1] = True
    return prediction, reference


def sheets_in_overlapping_boxes(shape):
    """Each has a voxel on the other's plane; all the rest is far."""
    prediction, reference = sheets(shape)
    prediction[0, -1, 0] = reference[0, 0, 0] = True
    return prediction, reference


def classes(dtype):
    draw = np.random.Generator(np.random.PCG64(8))
    return tuple(draw.integers(0, 4, (2, *CUBE)).astype(dtype))


def facing_halves(shape):
    """As `far_noise`, with a row each on the other's side, so that the search axis by axis answers."""
    prediction, reference = far_noise(shape)
    prediction[-1, -1] = reference[0, 0] = True
    return prediction, reference


def in_a_large_volume():
    """Whose voxels beyond the crop cost nothing, in either order of the axes."""
    return tuple(np.asfortranarray(np.pad(mask, 40)) for mask in organs())


PAIRS = {
    "organs": organs,
    "organs in a large volume": in_a_large_volume,
    "noise": lambda: noise(CUBE),
    "noise, 2 axes": lambda: noise(IMAGE),
    "noise, one voxel thick": lambda: noise((1, *IMAGE)),
    "three classes of noise": lambda: classes(np.uint8),
    "three classes of noise, floats": lambda: classes(np.float64),
    "far balls": far_balls,
    "far noise": lambda: far_noise(CUBE),
    "far noise, 2 axes": lambda: far_noise(IMAGE),
    "far noise in overlapping boxes": lambda: facing_halves(CUBE),
    "dust and a voxel": dust_and_voxel,
    "checkerboards": lambda: checkerboards(CUBE),
    "checkerboards, 2 axes": lambda: checkerboards(IMAGE),
    "sheets": lambda: sheets(SLAB),
    "sheets in overlapping boxes": lambda: sheets_in_overlapping_boxes(SLAB),
    "sheets in a thin crop": lambda: sheets(THIN),
}


def bytes_a_voxel(prediction, reference, spacing):
    crop = prediction[union_box(prediction, reference)].size
    case_metrics(prediction[:9, :9], reference[:9, :9], spacing)  # what is kept for the spacing is no cost of a case
    tracemalloc.start()
    try:
        case_metrics(prediction, reference, spacing)
        return tracemalloc.get_traced_memory()[1] / crop
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.8, 3.0)])
@pytest.mark.parametrize("pair", PAIRS)
def test_memory_stays_under_twelve_bytes_a_voxel_of_the_crop(pair, spacing):
    prediction, reference = PAIRS[pair]()
    assert bytes_a_voxel(prediction, reference, spacing[: prediction.ndim]) < 12


@pytest.mark.parametrize("pair", ["elastic", "half_missing", "two_different_cases"])
def test_memory_stays_under_twelve_bytes_a_voxel_of_real_atria(golden, pair):
    with np.load(golden("surface_metrics_la.npz")) as figures:
        shape = tuple(figures[f"{pair}__shape"])
        bits = [np.unpackbits(figures[f"{pair}__{side}"])[: math.prod(shape)] for side in ("pred", "gt")]
    prediction, reference = (flat.reshape(shape) for flat in bits)
    assert bytes_a_voxel(prediction, reference, (1.0, 1.0, 1.0)) < 12
