"""MetaImage volumes (`.mha`, `.mhd`).

Packed voxels end in zlib's checksum, which is read; plain ones carry none, only their number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.data.formats import itk
from mednoisy.data.formats.packed_streams import read_voxels
from mednoisy.data.formats.voxels import MILLIMETRES, Voxels, contradiction, one_volume

SUFFIXES = (".mha", ".mhd")
IMAGE_IO = "MetaImageIO"
LINES, HEADER_AT_MOST = 500, 2**16  # of a header, its last entry names the data
DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
PLACES = ("Offset", "Position", "Origin")
KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class MetaHeader:
    """The entries of a header as they are written, and where the file goes on."""

    entries: dict[str, str]
    end: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the axes, the fastest first; checked against `NDims`."""
        sizes = self.entries.get("DimSize", "").split()
        if not sizes or not all(re.fullmatch(r"[1-9]\d{0,9}", size) for size in sizes):
            raise ValueError(f"its header claims a DimSize of {' '.join(sizes) or 'nothing'}")
        if self.entries.get("NDims", "") != str(len(sizes)):
            raise ValueError(f"its header has NDims {self.entries.get('NDims', 'missing')} and {len(sizes)} sizes")
        return tuple(int(size) for size in sizes)

    @property
    def kind(self) -> np.dtype:
        """The type of the voxels, with their byte order."""
        name = self.entries.get("ElementType", "")
        if name not in KINDS:
            raise ValueError(f"its ElementType is {name or '(none)'!r}, numbers are needed")
        big = self.says("BinaryDataByteOrderMSB") or self.says("ElementByteOrderMSB")
        return np.dtype(KINDS[name]).newbyteorder(">" if big else "<")

    def says(self, name: str) -> bool:
        """Whether an entry is true."""
        return self.entries.get(name, "").lower() in ("true", "1", "yes")

    def numbers(self, name: str) -> np.ndarray:
        """The numbers of an entry; none where it is not there."""
        try:
            return np.array([float(text) for text in self.entries.get(name, "").split()])
        except ValueError as fault:
            raise ValueError(f"its {name} is {self.entries[name]!r}, no numbers") from fault


def read_meta_image(path: Path, key: str) -> Voxels:
    """A MetaImage volume of one value a voxel."""
    header = read_header(path)
    count = math.prod(header.sizes)  # first, so that sizes that cannot be are refused with their cause
    of_itk = itk.read_header(path, IMAGE_IO, _is_detached(path))
    array = _voxels(path, header, count).reshape(of_itk.size, order="F")
    unit = header.entries.get("DistanceUnits", "mm").lower()
    millimetres = MILLIMETRES.get(unit, 1.0)  # "?" for unknown
    spacing, size = header.numbers("ElementSpacing"), header.numbers("ElementSize")
    notes: tuple[str, ...] = ()
    if size.size == spacing.size > 0:
        notes = contradiction(size * millimetres, spacing * millimetres, "ElementSize", "ElementSpacing")
    oriented = any(name in header.entries for name in DIRECTIONS)
    return Voxels(
        one_volume(array),
        np.diag([millimetres] * 3 + [1.0]) @ of_itk.affine,
        min(array.ndim, 3),
        located=bool(spacing.size or size.size),
        oriented=oriented,
        placed=oriented or any(name in header.entries for name in PLACES),
        notes=notes,
    )


def read_header(path: Path) -> MetaHeader:
    """The header; ValueError where there is none."""
    entries: dict[str, str] = {}
    with open(path, "rb") as file:
        for _ in range(LINES):
            line = file.readline(HEADER_AT_MOST)
            name, separator, value = line.decode("utf-8", "replace").partition("=")
            if not separator:
                break
            entries[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile":
                return MetaHeader(entries, file.tell())
    raise ValueError(itk.foreign(_is_detached(path)))


def _voxels(path: Path, header: MetaHeader, count: int) -> np.ndarray:
    """The voxels in the order of the header, their number checked."""
    name = header.entries["ElementDataFile"]
    if name.split()[0:1] == ["LIST"] or "%" in name:
        files = [path.parent / file for file in _names_of_parts(path, header, name)]
        return np.concatenate([_part(file, 0, header, (count // len(files),)) for file in files])
    data, start = (path, header.end) if name.upper() == "LOCAL" else (path.parent / name, 0)
    return _part(data, start, header, header.sizes)


def _part(data: Path, start: int, header: MetaHeader, sizes: tuple[int, ...]) -> np.ndarray:
    """The voxels of one file, behind what comes before them."""
    if not data.is_file():
        raise ValueError(f"its data file {data.name} is not there")
    if not header.says("BinaryData") and "BinaryData" in header.entries:
        return _written_out(data, start, header.kind, sizes)
    if header.says("CompressedData"):
        return read_voxels(data, header.kind, sizes, "zlib or gzip", start=start)
    skip = header.numbers("HeaderSize")
    if skip.size and skip[0] < 0:  # the voxels are the last ones of the file
        start = max(data.stat().st_size - math.prod(sizes) * header.kind.itemsize, start)
    elif skip.size:
        start += int(skip[0])
    return read_voxels(data, header.kind, sizes, start=start)


def _names_of_parts(path: Path, header: MetaHeader, name: str) -> list[str]:
    """The files that voxels lie in, one after the other: listed behind the header, or numbered from, to, by.

    Each holds as many axes as is said last, or all but the slowest. ITK leaves memory as it was in place of a file that
    is not there, or is the last of a list without an end of line; so it is not asked.
    """
    first, *words = name.split()
    try:
        said = [int(word) for word in words]
        if first == "LIST":
            lines = path.read_bytes()[header.end :].decode("utf-8", "replace").splitlines()
            names, axes = [line.strip() for line in lines if line.strip()], said[:1]
        else:
            names, axes = _numbered(first, said[:3], math.prod(header.sizes)), said[3:4]
    except ValueError as fault:
        raise ValueError(f"its ElementDataFile is {name!r}, no list and no numbered files") from fault
    wanted = math.prod(header.sizes[(axes or [len(header.sizes) - 1])[0] :])
    if len(names) != wanted:
        raise ValueError(f"its header claims {wanted:,} data files, it names {len(names):,}")
    return names


def _numbered(pattern: str, said: Sequence[int], most: int) -> list[str]:
    """File names from a first to a last number, by a step of 1 if none is said."""
    low, high, step = (*said, 1) if len(said) == 2 else said
    numbers = range(low, high + 1, step)
    if len(numbers) > most or not re.fullmatch(r"[^%]*%(0\d+)?d[^%]*", pattern):
        raise ValueError
    return [pattern % number for number in numbers]


def _written_out(data: Path, start: int, kind: np.dtype, sizes: tuple[int, ...]) -> np.ndarray:
    """Voxels as text."""
    words, count = data.read_bytes()[start:].split(), math.prod(sizes)
    if len(words) != count:
        raise ValueError(f"its header claims {count:,} written values, there are {len(words):,}")
    try:
        return np.array(words).astype(kind.newbyteorder("=")).reshape(sizes, order="F")
    except (ValueError, OverflowError) as fault:
        raise ValueError(f"its written values are no numbers of type {kind.name}") from fault


def _is_detached(path: Path) -> bool:
    return path.name.lower().endswith(".mhd")
