"""NRRD volumes, with the voxels behind the header or in files of their own.

gzip and bzip2 carry checksums, which are read; raw, text and hexadecimal voxels carry none, only their number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.data.formats import itk
from mednoisy.data.formats.packed_streams import check_filled, read_voxels
from mednoisy.data.formats.voxels import MILLIMETRES, Voxels, one_volume

SUFFIXES = (".nrrd", ".nhdr")
IMAGE_IO = "NrrdImageIO"
MAGIC = b"NRRD000"
HEADER_AT_MOST = 2**20  # bytes
ANATOMICAL = "left-posterior-superior"  # to which ITK brings all spaces of the patient that it knows
KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), "i8"),
    **dict.fromkeys(("int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
PACKED = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
TEXT, HEXADECIMAL = ("txt", "text", "ascii"), ("hex",)


@dataclass(frozen=True)
class NrrdHeader:
    """The fields of a header, their names in small letters and without spaces, and where the file goes on."""

    fields: dict[str, str]
    end: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the axes, the fastest first; checked against `dimension`."""
        sizes = self.fields.get("sizes", "").split()
        if not sizes or not all(re.fullmatch(r"[1-9]\d{0,9}", size) for size in sizes):
            raise ValueError(f"its header claims sizes of {' '.join(sizes) or 'nothing'}")
        if self.fields.get("dimension", "").strip() != str(len(sizes)):
            raise ValueError(f"its header has {self.fields.get('dimension', 'no')} dimensions and {len(sizes)} sizes")
        return tuple(int(size) for size in sizes)

    @property
    def kind(self) -> np.dtype:
        """The type of the voxels, with their byte order."""
        name = " ".join(self.fields.get("type", "").split())
        if name not in KINDS:
            raise ValueError(f"its voxels are of type {name or '(none)'!r}, numbers are needed")
        kind = np.dtype(KINDS[name])
        return kind.newbyteorder(">" if self.fields.get("endian", "little").strip() == "big" else "<")

    def number(self, name: str) -> int:
        """A field that counts, 0 where it is not there."""
        text = self.fields.get(name, "0").strip()
        if not re.fullmatch(r"-?\d{1,15}", text):
            raise ValueError(f"its header has {text!r} as {name}")
        return int(text)


def read_nrrd(path: Path, key: str) -> Voxels:
    """An NRRD volume of one value a voxel."""
    header = read_header(path)
    count = math.prod(header.sizes)  # first, so that sizes that cannot be are refused with their cause
    of_itk = itk.read_header(path, IMAGE_IO, _is_detached(path))
    array = _voxels(path, header, count).reshape(of_itk.size, order="F")
    millimetres, stated = _unit(header.fields)
    spaced = any(name in header.fields for name in ("spacings", "spacedirections"))
    spaced = spaced and (stated or bool(of_itk.space) or any(step != 1 for step in of_itk.steps))
    placed = bool(of_itk.space) or "spacedirections" in header.fields
    affine = np.diag([millimetres] * 3 + [1.0]) @ of_itk.affine
    return Voxels(
        one_volume(array),
        affine,
        min(array.ndim, 3),
        located=spaced or placed,
        oriented=of_itk.space == ANATOMICAL,
        placed=placed,
    )


def read_header(path: Path) -> NrrdHeader:
    """The header; ValueError where there is none."""
    with open(path, "rb") as file:
        start = file.read(HEADER_AT_MOST)
    if not start.startswith(MAGIC):
        raise ValueError(itk.foreign(_is_detached(path)))
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None and not _is_detached(path):
        raise ValueError("truncated: its header has no end")
    lines = start[: end.start() if end else len(start)].decode("utf-8", "replace").splitlines()[1:]
    fields = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if separator and not line.startswith("#") and not value.startswith("="):
            fields["".join(name.lower().split())] = value.strip()
    fields = {**fields, "type": fields.get("type", "").lower(), "encoding": fields.get("encoding", "").lower()}
    return NrrdHeader(fields, end.end() if end else len(start))


def _voxels(path: Path, header: NrrdHeader, count: int) -> np.ndarray:
    """The voxels in the order of the header, their number checked."""
    encoding, place = header.fields["encoding"].strip(), header.fields.get("datafile")
    data, start = path, header.end
    if place is not None:
        if place.startswith("LIST") or "%" in place:
            return _of_several_files(path, header, place)
        data, start = path.parent / place, 0
        if not data.is_file():
            raise ValueError(itk.foreign(True))
    if encoding in (*TEXT, *HEXADECIMAL):
        return _written_out(path, data, start, header, count)
    lines, skip = header.number("lineskip"), header.number("byteskip")
    start = _after_lines(data, start, lines) if lines else start
    if encoding == "raw":
        if skip == -1:  # the voxels are the last ones of the file
            start, skip = max(data.stat().st_size - count * header.kind.itemsize, start), 0
        return read_voxels(data, header.kind, header.sizes, start=start, skip=skip)
    if encoding not in PACKED:
        raise ValueError(f"its encoding is {encoding or '(none)'!r}; known are raw, gzip, bzip2, text, hex")
    if skip < 0 or lines < 0:
        raise ValueError(f"its header skips {skip} bytes and {lines} lines")
    return read_voxels(data, header.kind, header.sizes, PACKED[encoding], start=start, skip=skip)


def _of_several_files(path: Path, header: NrrdHeader, place: str) -> np.ndarray:
    """By ITK, which refuses files that are not there; together they must be able to hold the voxels."""
    if header.fields["encoding"].strip() == "raw":
        names = path.read_text("utf-8", "replace").partition(place)[2].split("\n")[1:] if "LIST" in place else []
        files = [path.parent / name.strip() for name in names if name.strip()]
        if files and all(file.is_file() for file in files):
            check_filled(math.prod(header.sizes) * header.kind.itemsize, sum(file.stat().st_size for file in files))
    return itk.read_voxels_of(path, IMAGE_IO, detached=True)


def _written_out(path: Path, data: Path, start: int, header: NrrdHeader, count: int) -> np.ndarray:
    """Voxels as text or hexadecimal digits: their number is compared, ITK reads them."""
    content = data.read_bytes()[start:]
    if header.fields["encoding"].strip() in TEXT:
        there, wanted = len(re.findall(rb"[^\s,]+", content)), count
    else:
        there, wanted = len(re.findall(rb"[0-9a-fA-F]", content)), 2 * count * header.kind.itemsize
    if there != wanted:
        raise ValueError(f"its header claims {wanted:,} written values, there are {there:,}")
    return itk.read_voxels_of(path, IMAGE_IO, _is_detached(path))


def _after_lines(data: Path, start: int, lines: int) -> int:
    with open(data, "rb") as file:
        file.seek(start)
        for _ in range(lines):
            if not file.readline():
                raise ValueError(f"its header skips {lines} lines, there are fewer")
        return file.tell()


def _unit(fields: dict[str, str]) -> tuple[float, bool]:
    """The file's unit of length in mm, and whether it states one."""
    text = fields.get("spaceunits") or fields.get("units") or ""
    names = {name.strip().lower() for name in re.findall(r'"([^"]*)"', text)} - {"", "none", "???"}
    lengths = {MILLIMETRES[name] for name in names if name in MILLIMETRES}
    if len(lengths) > 1:
        raise ValueError(f"its axes are in different units of length: {', '.join(sorted(names))}")
    return (lengths.pop(), True) if lengths else (1.0, False)


def _is_detached(path: Path) -> bool:
    return path.name.lower().endswith(".nhdr")
