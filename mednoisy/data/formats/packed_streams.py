"""Bytes of voxels out of a file, raw or packed: as many as the header claims, and every checksum read.

zlib streams (Adler-32), gzip (CRC-32 and length) and bzip2 (CRC-32) end in a checksum, which is only looked at by who
reads to the end. What a header claims is compared with what its file can hold before any memory is taken.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

DEFLATE_AT_MOST, BZIP2_AT_MOST = 1032, 2_000_000  # bytes that one packed byte can stand for, by the format's own codes
DAMAGED = "damaged: its checksum does not fit"
PIECE, UNPACKED = 2**18, 2**20  # bytes, read and unpacked at once
PADDING = b"\0"  # after the end, which tapes and archives leave
SPARE = 16  # bytes after the voxels that are no surplus: an alignment

Unpacker = Callable[[], Any]
ENGINES: dict[str, tuple[Unpacker, int]] = {
    "zlib": (lambda: zlib.decompressobj(zlib.MAX_WBITS), DEFLATE_AT_MOST),
    "gzip": (lambda: zlib.decompressobj(zlib.MAX_WBITS + 16), DEFLATE_AT_MOST),
    "zlib or gzip": (lambda: zlib.decompressobj(zlib.MAX_WBITS + 32), DEFLATE_AT_MOST),
    "bzip2": (bz2.BZ2Decompressor, BZIP2_AT_MOST),
}


def read_voxels(
    path: Path, kind: np.dtype, shape: tuple[int, ...], encoding: str = "raw", *, start: int = 0, skip: int = 0
) -> np.ndarray:
    """The voxels of a file whose first axis runs fastest.

    Args:
        kind, shape: what the header claims.
        encoding: "raw" or one of `ENGINES`.
        start: where in the file they, or the packed stream, begin.
        skip: how many bytes of the unpacked stream come before them.

    Raises:
        ValueError: fewer or more bytes than claimed; damaged, cut off.
    """
    count = 1
    for size in shape:
        count *= int(size)
    claimed, there = count * kind.itemsize, path.stat().st_size - start
    if encoding == "raw":
        check_filled(claimed, there - skip)
        return np.fromfile(path, kind, count, offset=start + skip).reshape(shape, order="F")
    most = there * ENGINES[encoding][1]
    if claimed + skip > most:
        raise ValueError(f"its header claims {claimed:,} bytes of voxels, its {there:,} bytes cannot unpack to so many")
    target = np.empty(claimed + skip, np.uint8)
    with open(path, "rb") as file:
        file.seek(start)
        unpacked = unpack(file, encoding, target.data)
    check_filled(claimed, unpacked - skip)
    return np.frombuffer(target, kind, count, offset=skip).reshape(shape, order="F")


def check_filled(claimed: int, there: int) -> None:
    """Refuse voxels that fewer or more bytes are there for than the header claims."""
    if there < claimed:
        cause = f"its header claims {claimed:,} bytes of voxels, there are {max(there, 0):,}"
        raise ValueError(f"{cause}: truncated, or a damaged header")
    if there >= claimed + SPARE:
        raise ValueError(f"its header claims {claimed:,} bytes of voxels, there are {there:,}: a damaged header")


def unpack(file: IO[bytes], encoding: str, target: memoryview) -> int:
    """Unpack from where the file stands to the end of its streams, into `target` as far as that goes.

    Returns:
        How many bytes there were.

    Raises:
        ValueError: damaged, truncated, or followed by something else.
    """
    count = 0
    for part in _parts(file, encoding, UNPACKED):
        kept = target[count : count + len(part)]
        kept[:] = part[: len(kept)]
        count += len(part)
    return count


def unpacked_start(path: Path, encoding: str, length: int) -> bytes:
    """The first bytes of a packed file, fewer where it has no more or is damaged behind them."""
    start = b""
    with open(path, "rb") as file:
        for part in _parts(file, encoding, length):
            start += part
            if len(start) >= length:
                break
    return start[:length]


def check_stream(path: Path, encoding: str) -> None:
    """Refuse a packed file whose stream is damaged or truncated, whatever it holds."""
    with open(path, "rb") as file:
        unpack(file, encoding, memoryview(bytearray()))


def _parts(file: IO[bytes], encoding: str, most: int) -> Iterator[bytes]:
    """What the streams of a file unpack to, at most so many bytes at once."""
    make = ENGINES[encoding][0]
    engine, packed = make(), file.read(PIECE)
    try:
        while True:
            part = engine.decompress(packed, most)
            yield part
            if engine.eof:
                packed = _after_padding(engine.unused_data, file)
                if not packed:
                    return
                engine = make()
            else:
                packed = getattr(engine, "unconsumed_tail", b"")
                if not packed and getattr(engine, "needs_input", True):
                    packed = file.read(PIECE)
                    if not packed and not part:
                        raise ValueError(f"truncated: it ends within its {encoding} stream")
    except (zlib.error, OSError) as fault:
        wrong_sum = any(words in str(fault) for words in ("data check", "length check", "Invalid data stream"))
        raise ValueError(DAMAGED if wrong_sum else f"damaged, or not {encoding}: {fault}") from fault


def _after_padding(packed: bytes, file: IO[bytes]) -> bytes:
    """What follows the end of a stream, without zeros before it; nothing at the end of the file."""
    packed = packed.lstrip(PADDING)
    while not packed:
        piece = file.read(PIECE)
        if not piece:
            return b""
        packed = piece.lstrip(PADDING)
    return packed
