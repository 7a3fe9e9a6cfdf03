"""One small image and label map of each format, what of their bytes a checksum covers, and how to enlarge a claim."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
import SimpleITK
import tifffile
from PIL import Image as Picture

X, Y, Z = np.indices((16, 18, 12))
VOLUMES = {
    "image": np.random.default_rng(0).integers(0, 200, X.shape).astype(np.int16),
    "label": ((X - 8) ** 2 + (Y - 9) ** 2 + (1.5 * (Z - 6)) ** 2 < 40).astype(np.uint8),
}
PICTURES = {
    "image": np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8),
    "label": (np.hypot(*np.indices((48, 64)) - np.array([24, 30])[:, None, None]) < 15).astype(np.uint8) * 255,
}
SPACING = (0.5, 1.0, 2.0)
FACTORS = (2, 3, 10, 1000, 10**6)
Spans = list[tuple[int, int]]  # of bytes
Writer = Callable[[Path, str], None]
Enlarger = Callable[[bytes, Path, np.random.Generator], bytes | None]


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: the suffix without its dot.
        write: the image or the label to a path.
        covered: the bytes whose change a checksum of the format tells.
        enlarged: the file with one of its sizes made larger; None for a file that has no sizes.
        counts: whether the file tells how many voxels it holds besides its header: JPEG does not, rows that are missing
            come out grey.
        data_file: of a header's path, where the voxels are in a file of their own.
    """

    name: str
    write: Writer
    covered: Callable[[bytes, Path], Spans]
    enlarged: Enlarger
    data_file: Callable[[Path], Path] | None = None
    counts: bool = True


def _larger(size: int, draw: np.random.Generator) -> int:
    return size + 1 if draw.random() < 0.3 else size * int(draw.choice(FACTORS))


def _nothing(payload: bytes, path: Path) -> Spans:
    return []


def _everything(payload: bytes, path: Path) -> Spans:
    return [(0, len(payload))]


def _nifti(path: Path, what: str) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUMES[what], np.diag([*SPACING, 1.0])), path)


def _nifti_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes:
    packed = payload[:2] == b"\x1f\x8b"
    changed = bytearray(gzip.decompress(payload) if packed else payload)
    axis = 42 + 2 * int(draw.integers(0, 3))
    size = min(_larger(struct.unpack_from("<h", changed, axis)[0], draw), 32767)
    struct.pack_into("<h", changed, axis, size)
    return gzip.compress(bytes(changed)) if packed else bytes(changed)


def _itk(packed: bool) -> Writer:
    def write(path: Path, what: str) -> None:
        image = SimpleITK.GetImageFromArray(VOLUMES[what].T.copy())
        image.SetSpacing(SPACING)
        SimpleITK.WriteImage(image, str(path), useCompression=packed)

    return write


def _text_claim(pattern: bytes) -> Enlarger:
    """Of a header of text that has its sizes on one line."""

    def enlarged(payload: bytes, path: Path, draw: np.random.Generator) -> bytes | None:
        line = re.search(pattern + rb"([\d ]+)", payload)
        if line is None:  # the voxels' own file
            return None
        sizes = [int(size) for size in line[1].split()]
        axis = int(draw.integers(0, len(sizes)))
        sizes[axis] = _larger(sizes[axis], draw)
        return payload[: line.start(1)] + " ".join(map(str, sizes)).encode() + payload[line.end(1) :]

    return enlarged


def _behind(mark: bytes) -> Callable[[bytes, Path], Spans]:
    """The packed voxels behind a header of text that ends with `mark`; zlib's two bytes of flags are their start."""
    return lambda payload, path: [(payload.index(mark) + len(mark), len(payload))]


def _hdf5(path: Path, what: str) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset(what, data=VOLUMES[what], compression="gzip", chunks=(8, 9, 6))
        data.attrs["spacing"] = SPACING


def _hdf5_chunks(payload: bytes, path: Path) -> Spans:
    with h5py.File(path) as file:
        (data,) = file.values()
        chunks = [data.id.get_chunk_info(number) for number in range(data.id.get_num_chunks())]
    return [(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks]


def _hdf5_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes:
    """Of the shape, its upper limit along with it, so that the two do not contradict one another."""
    shape = list(X.shape)
    stored = struct.pack("<3Q", *shape)
    axis = int(draw.integers(0, 3))
    shape[axis] = _larger(shape[axis], draw)
    return payload.replace(stored, struct.pack("<3Q", *shape))


def _picture(path: Path, what: str) -> None:
    Picture.fromarray(PICTURES[what]).save(path)


def _tiff(path: Path, what: str) -> None:
    colours = "rgb" if what == "image" else "minisblack"
    tifffile.imwrite(path, PICTURES[what], compression="zlib", photometric=colours, rowsperstrip=16)


def _tiff_strips(payload: bytes, path: Path) -> Spans:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        return [(at, at + size) for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]


def _tiff_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes:
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[int(draw.choice([256, 257]))]
        size, place, short = _larger(int(tag.value), draw), tag.valueoffset, tag.dtype == 3
    changed = bytearray(payload)
    struct.pack_into("<H" if short else "<I", changed, place, min(size, 65535 if short else 2**32 - 1))
    return bytes(changed)


def _png_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes:
    """With a checksum that fits."""
    changed, place = bytearray(payload), int(draw.choice([16, 20]))
    size = min(_larger(struct.unpack_from(">I", changed, place)[0], draw), 2**31 - 1)
    struct.pack_into(">I", changed, place, size)
    struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
    return bytes(changed)


def _bmp_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes:
    changed = bytearray(payload)
    size = min(_larger(struct.unpack_from("<i", changed, 22)[0], draw), 2**31 - 1)
    struct.pack_into("<i", changed, 22, size)  # the height: a wider row may end with as many bytes
    return bytes(changed)


def _jpeg_claim(payload: bytes, path: Path, draw: np.random.Generator) -> bytes | None:
    frame = re.search(rb"\xff[\xc0\xc2]\0[\x0b\x11]\x08", payload)
    if frame is None:
        return None
    changed, place = bytearray(payload), frame.end() + int(draw.choice([0, 2]))
    struct.pack_into(">H", changed, place, min(_larger(struct.unpack_from(">H", changed, place)[0], draw), 65500))
    return bytes(changed)


_ALL = (
    Format("nii", _nifti, _nothing, _nifti_claim),
    Format("nii.gz", _nifti, _everything, _nifti_claim),
    Format("nrrd", _itk(packed=True), _behind(b"\n\n"), _text_claim(rb"sizes: ")),
    Format("nhdr", _itk(packed=False), _nothing, _text_claim(rb"sizes: "), lambda path: path.with_suffix(".raw")),
    Format("mha", _itk(packed=True), _behind(b"LOCAL\n"), _text_claim(rb"\nDimSize = ")),
    Format("mhd", _itk(packed=False), _nothing, _text_claim(rb"\nDimSize = "), lambda path: path.with_suffix(".raw")),
    Format("h5", _hdf5, _hdf5_chunks, _hdf5_claim),
    Format("png", _picture, _everything, _png_claim),
    Format("tif", _tiff, _tiff_strips, _tiff_claim),
    Format("jpg", _picture, _nothing, _jpeg_claim, counts=False),
    Format("bmp", _picture, _nothing, _bmp_claim),
)
FORMATS = {each.name: each for each in _ALL}
