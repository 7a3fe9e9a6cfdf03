"""A case as networks see it, and where parts of its file lie there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd

from mednoisy.active.region_features import Parts
from mednoisy.active.regions import Grid, Regions
from mednoisy.data.datalist_checks import Case
from mednoisy.data.image import Image
from mednoisy.inference.prediction import preprocessed
from mednoisy.runs.opened_run import OpenedRun


class SeenCase:
    """A case as networks see it, preprocessed once for each run."""

    def __init__(self, case: Case):
        self._case, self._images = case, dict[Path, MetaTensor]()

    def by(self, run: OpenedRun) -> MetaTensor:
        if run.folder not in self._images:
            self._images[run.folder] = preprocessed(self._case, run.preprocessing)
        return self._images[run.folder]


def parts_seen(regions: Regions, image: MetaTensor) -> Parts:
    """Regions of a case's file, on the grid of the image that was made of it.

    Preprocessing turns, resamples and crops along the axes of the file, so a region stays a box.
    """
    axes = image.dim() - 1
    source, seen = (
        to_affine_nd(3, np.asarray(each, np.float64)) for each in (image.meta["original_affine"], image.affine)
    )
    to_seen = np.linalg.inv(seen) @ source
    ends = [(corner - 0.5) @ to_seen[:3, :3].T + to_seen[:3, 3] + 0.5 for corner in (regions.start, regions.stop)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    return Parts.of(low[:, :axes], high[:, :axes], image.shape[1:])


def grid_of(image: Image) -> Grid:
    """Of a file that was read."""
    return Grid(image.shape, image.affine, image.located, image.oriented)


def grid_seen(image: MetaTensor) -> Grid:
    """Of the file that a preprocessed image was made of."""
    meta = image.meta
    shape = tuple(int(size) for size in np.asarray(meta["spatial_shape"]))
    affine = np.asarray(meta["original_affine"], np.float64)
    return Grid(shape, affine, bool(meta.get("located", True)), bool(meta.get("oriented", False)))
