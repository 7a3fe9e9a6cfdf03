"""Datasets of HDF5 files. Chunks packed by gzip carry checksums, which the library reads; others carry none, unless the
file was written with `fletcher32`."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mednoisy.data.formats.packed_streams import DEFLATE_AT_MOST
from mednoisy.data.formats.voxels import MILLIMETRES, NoSuchDataset, Voxels, contradiction, one_volume

SUFFIXES = (".h5", ".hdf5")
UNIT = "spacing_unit"  # the attribute that names the unit of `spacing` and `affine`

CONTRADICTS = "damaged: its index of chunks contradicts itself"


def read_hdf5(path: Path, key: str) -> Voxels:
    """A dataset of an HDF5 file; attributes `affine` or `spacing` of it or of the file give the geometry, in mm or in
    the unit that an attribute `spacing_unit` names."""
    try:
        array, attributes, notes = _stored(path, key)
    except RuntimeError as fault:  # the library's for some damaged indices
        raise ValueError(f"damaged: {fault}") from fault
    array = one_volume(array)
    affine = np.eye(4)
    spacing = np.broadcast_to(np.atleast_1d(attributes.get("spacing", 1.0)).astype(np.float64), array.ndim)
    if "affine" in attributes:
        affine = np.asarray(attributes["affine"], dtype=np.float64).reshape(4, 4)
        if "spacing" in attributes:
            steps = np.linalg.norm(affine[:3, : array.ndim], axis=0)
            notes += contradiction(spacing, steps, "spacing", "affine")
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


def _stored(path: Path, key: str) -> tuple[np.ndarray, dict[str, Any], tuple[str, ...]]:
    """The voxels of a dataset, its attributes with those of the file, and a note of voxels that are not there."""
    with h5py.File(path) as file:
        data = file.get(key)
        if not isinstance(data, h5py.Dataset):
            raise NoSuchDataset(f"holds no dataset {key!r}")
        _check_claim(data, path)
        notes = () if data.chunks is None else _check_chunks(data)
        return np.asarray(data[()]), {**file.attrs, **data.attrs}, notes


def _check_claim(data: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset that is larger than its file could unpack to; one put together from other files may be."""
    there = path.stat().st_size
    if data.nbytes > there * DEFLATE_AT_MOST and not data.is_virtual and not data.external:
        raise ValueError(f"a dataset claims {data.nbytes:,} bytes of voxels, its {there:,} bytes cannot hold so many")


def _check_chunks(data: h5py.Dataset) -> tuple[str, ...]:
    """Refuse an index of chunks that cannot be: what it does not find is read as zeros.

    Neither the index nor the size of a dataset carries a checksum. Chunks that were never written are no fault, but
    nobody can tell them from those of a size that damage has enlarged.

    Returns:
        A note where there are such chunks.
    """
    chunks, shape = data.chunks, data.shape
    size = math.prod(chunks) * data.dtype.itemsize
    packed = data.compression is not None or data.shuffle or data.fletcher32
    found: set[tuple[int, ...]] = set()

    def check(chunk: Any) -> None:
        place = tuple(chunk.chunk_offset)
        on_grid = all(at % step == 0 and at < end for at, step, end in zip(place, chunks, shape, strict=True))
        whole = chunk.size == size or (packed and not chunk.filter_mask)  # where no filter was applied
        if not on_grid or not whole or place in found:
            raise ValueError(CONTRADICTS)
        found.add(place)

    data.id.chunk_iter(check)
    count = math.prod(-(-end // step) for end, step in zip(shape, chunks, strict=True))
    complete = len(found) == count
    for place in found:
        skipped, content = data.id.read_direct_chunk(place)  # by the way that reading goes: RuntimeError if it fails
        unpacks = complete or skipped or data.compression != "gzip"  # else the chunks' own size may be damaged
        if not unpacks and len(zlib.decompress(content)) != size:
            raise ValueError(CONTRADICTS)
    if complete:
        return ()
    absent = f"{count - len(found)} of its {count} chunks"
    return (f"was never written in {absent}, or its size is wrong: there it is {data.fillvalue:g}",)


def _millimetres(attributes: dict[str, Any]) -> float:
    name = attributes.get(UNIT, "mm")
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if text.strip().lower() not in MILLIMETRES:
        raise ValueError(f"its {UNIT} is {text!r}; known are m, cm, mm, um, nm")
    return MILLIMETRES[text.strip().lower()]
