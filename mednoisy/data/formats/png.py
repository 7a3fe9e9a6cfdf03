"""Whether a PNG is whole: every chunk's CRC, the size that its header claims, and the end of its packed rows.

Pillow looks at none of these for the chunks that hold the picture.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from mednoisy.data.formats.packed_streams import DAMAGED, DEFLATE_AT_MOST, UNPACKED

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel, by type of colour
PASSES = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
# of an interlaced picture: first column and step, first row and step


def check_png(path: Path) -> None:
    """Refuse a PNG that is damaged, truncated, or claims a size that its bytes cannot hold.

    Raises:
        ValueError: with the cause.
    """
    content = memoryview(path.read_bytes())
    if bytes(content[:8]) != SIGNATURE:
        return  # of another format, which Pillow tells
    header, parts = b"", []
    for name, body in _chunks(content):
        if name == b"IHDR":
            header = bytes(body)
        elif name == b"IDAT":
            parts.append(body)
    if len(header) != 13:
        raise ValueError("damaged: it has no header of 13 bytes")
    claimed, packed = _size(header), sum(len(part) for part in parts)
    if claimed > packed * DEFLATE_AT_MOST:
        raise ValueError(
            f"its header claims {claimed:,} bytes of pixels, its {packed:,} bytes cannot unpack to so many"
        )
    _check_rows(parts, claimed)


def _chunks(content: memoryview) -> list[tuple[bytes, memoryview]]:
    """Name and body of each chunk up to the one that ends the picture, their sums checked."""
    chunks: list[tuple[bytes, memoryview]] = []
    place = len(SIGNATURE)
    while True:
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 12 + length
        if end > len(content):
            raise ValueError("truncated: it ends within a chunk")
        name, body = bytes(content[place + 4 : place + 8]), content[place + 8 : end - 4]
        if zlib.crc32(content[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            raise ValueError(DAMAGED)
        if name == b"IEND":
            return chunks
        chunks.append((name, body))
        place = end


def _size(header: bytes) -> int:
    """Bytes of the rows, each behind the number of its filter."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    if not width or not height or header[9] not in SAMPLES:
        raise ValueError(f"its header claims {width}x{height} pixels of colour type {header[9]}")
    bits = header[8] * SAMPLES[header[9]]
    passes = PASSES if header[12] else ((0, 1, 0, 1),)
    size = 0
    for left, across, top, down in passes:
        columns, rows = max(0, -(-(width - left) // across)), max(0, -(-(height - top) // down))
        size += rows * (1 + -(-columns * bits // 8)) if columns else 0
    return size


def _check_rows(parts: list[memoryview], claimed: int) -> None:
    """Unpack the rows to their end, where zlib's checksum is."""
    engine, count = zlib.decompressobj(), 0
    try:
        for part in parts:
            packed: bytes | memoryview = part
            while packed and not engine.eof:
                count += len(engine.decompress(packed, UNPACKED))
                packed = engine.unconsumed_tail
        while not engine.eof and (part_left := engine.decompress(b"", UNPACKED)):
            count += len(part_left)
    except zlib.error as fault:
        raise ValueError(DAMAGED if "data check" in str(fault) else f"damaged: {fault}") from fault
    if not engine.eof or count < claimed:
        raise ValueError(f"truncated: its header claims {claimed:,} bytes of pixels, there are {count:,}")
