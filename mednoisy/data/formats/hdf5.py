"""Datasets of HDF5 files. Packed chunks carry checksums, which the library reads; plain ones carry none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mednoisy.data.formats.packed_streams import DEFLATE_AT_MOST
from mednoisy.data.formats.voxels import MILLIMETRES, NoSuchDataset, Voxels, contradiction, one_volume

SUFFIXES = (".h5", ".hdf5")
UNIT = "spacing_unit"  # the attribute that names the unit of `spacing` and `affine`


def read_hdf5(path: Path, key: str) -> Voxels:
    """A dataset of an HDF5 file; attributes `affine` or `spacing` of it or of the file give the geometry, in mm or in
    the unit that an attribute `spacing_unit` names."""
    with h5py.File(path) as file:
        data = file.get(key)
        if not isinstance(data, h5py.Dataset):
            raise NoSuchDataset(f"holds no dataset {key!r}")
        _check_claim(data, path)
        array = one_volume(np.asarray(data[()]))
        attributes = {**file.attrs, **data.attrs}
    affine = np.eye(4)
    notes: tuple[str, ...] = ()
    spacing = np.broadcast_to(np.atleast_1d(attributes.get("spacing", 1.0)).astype(np.float64), array.ndim)
    if "affine" in attributes:
        affine = np.asarray(attributes["affine"], dtype=np.float64).reshape(4, 4)
        if "spacing" in attributes:
            steps = np.linalg.norm(affine[:3, : array.ndim], axis=0)
            notes = contradiction(spacing, steps, "spacing", "affine")
    else:
        affine[range(array.ndim), range(array.ndim)] = spacing
    affine = np.diag([_millimetres(attributes)] * 3 + [1.0]) @ affine
    placed = "affine" in attributes
    return Voxels(
        array,
        affine,
        array.ndim,
        located=placed or "spacing" in attributes,
        order="unknown",
        oriented=placed,
        placed=placed,
        notes=notes,
    )


def _check_claim(data: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset that is larger than its file could unpack to; one put together from other files may be."""
    there = path.stat().st_size
    if data.nbytes > there * DEFLATE_AT_MOST and not data.is_virtual and not data.external:
        raise ValueError(f"a dataset claims {data.nbytes:,} bytes of voxels, its {there:,} bytes cannot hold so many")


def _millimetres(attributes: dict[str, Any]) -> float:
    name = attributes.get(UNIT, "mm")
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if text.strip().lower() not in MILLIMETRES:
        raise ValueError(f"its {UNIT} is {text!r}; known are m, cm, mm, um, nm")
    return MILLIMETRES[text.strip().lower()]
