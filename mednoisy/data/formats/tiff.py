"""TIFF pictures of one page. Strips packed by deflate carry zlib's checksum, which is read; no other TIFF has one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from mednoisy.data.formats.packed_streams import DAMAGED, DEFLATE_AT_MOST, UNPACKED
from mednoisy.data.formats.pictures import ORIENTATION, PILLOW_FORMATS, PIXELS_A_BYTE, SMALL, of_picture, upright_voxels
from mednoisy.data.formats.silence import quiet
from mednoisy.data.formats.voxels import UPRIGHT, NotOneImage, Voxels

SUFFIXES = (".tif", ".tiff")
OFFSETS, COUNTS = (273, 324), (279, 325)  # tags: of strips, of tiles
PLAIN, DEFLATE = 1, (8, 32946)
UNPACKED_AT_MOST = {  # bytes from one, by compression; the others have no bound but Pillow's on pixels
    PLAIN: 1,
    **dict.fromkeys(DEFLATE, DEFLATE_AT_MOST),
    5: 1400,  # LZW: codes of 12 bits for up to 4,096 bytes, all shorter ones used on the way
    32773: 64,  # PackBits: 2 bytes for 128
    **dict.fromkeys((6, 7), 4 * PIXELS_A_BYTE),  # JPEG, up to four channels
}


def read_tiff(path: Path, key: str) -> Voxels:
    """A TIFF of one page; what Pillow does not know (doubles, some faulty headers) is left to tifffile."""
    with quiet():
        try:
            # Not by its path: Pillow maps plain greys into memory then, and scrambles those stored turned (13.0).
            with open(path, "rb") as file, Picture.open(file, formats=PILLOW_FORMATS) as picture:
                pages = getattr(picture, "n_frames", 1)
                if pages > 1:
                    raise NotOneImage(f"holds {pages} pages, wanted one")
                _check_page_of_pillow(picture, path)
                orientation = picture.getexif().get(ORIENTATION, UPRIGHT)
                voxels = of_picture(picture)
                return Voxels(**{**vars(voxels), "turned": orientation if orientation in range(2, 9) else UPRIGHT})
        except Picture.UnidentifiedImageError:
            return _read_with_tifffile(path)


def _check_page_of_pillow(picture: Picture.Image, path: Path) -> None:
    tags = getattr(picture, "tag_v2", None)
    if tags is None:
        return
    bits, samples = tags.get(258, (1,)), int(tags.get(277, 1))
    offsets, counts = (next((tags[tag] for tag in kinds if tag in tags), ()) for kinds in (OFFSETS, COUNTS))
    claimed = picture.width * picture.height * samples * int(np.max(bits)) // 8
    _check_segments(path, _numbers(offsets), _numbers(counts), int(tags.get(259, PLAIN)), claimed)


def _numbers(value: int | Sequence[int]) -> list[int]:
    return [int(number) for number in value] if isinstance(value, (tuple, list)) else [int(value)]  # type: ignore[arg-type]


def _check_segments(path: Path, offsets: list[int], counts: list[int], compression: int, claimed: int) -> None:
    """Refuse strips or tiles beyond the file's end, too few bytes for what is claimed, and damaged ones."""
    if len(offsets) != len(counts) or not offsets:
        return  # old writers leave the lengths out; the libraries then look where strips end
    size = path.stat().st_size
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
        raise ValueError("truncated: its rows lie beyond its end")
    there, most = sum(counts), UNPACKED_AT_MOST.get(compression)
    if most is not None and claimed > SMALL and claimed > there * most:
        raise ValueError(f"its header claims {claimed:,} bytes of pixels, its {there:,} bytes cannot hold so many")
    if compression not in DEFLATE:
        return
    with open(path, "rb") as file:
        for offset, count in zip(offsets, counts, strict=True):
            file.seek(offset)
            _check_packed(file.read(count))


def _check_packed(packed: bytes) -> None:
    """Unpack a strip to its end, where zlib's checksum is."""
    engine = zlib.decompressobj()
    try:
        while not engine.eof:
            part = engine.decompress(packed, UNPACKED)
            packed = engine.unconsumed_tail
            if not part and not packed and not engine.eof:
                raise ValueError("truncated: a strip ends within its packed rows")
    except zlib.error as fault:
        raise ValueError(DAMAGED if "data check" in str(fault) else f"damaged: {fault}") from fault


def _read_with_tifffile(path: Path) -> Voxels:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        if len(file.pages) > 1 or series.axes not in ("YX", "YXS", "SYX"):
            raise NotOneImage(f"holds axes {series.axes} on {len(file.pages)} pages, wanted one picture")
        kind = tifffile.PHOTOMETRIC(page.photometric)
        if kind not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            raise ValueError(f"its colours are {kind.name}, known are greys with black as 0, and RGB")
        _check_segments(path, [*page.dataoffsets], [*page.databytecounts], int(page.compression), series.nbytes)
        array, orientation = series.asarray(), page.tags.valueof(ORIENTATION, UPRIGHT)
    array = np.moveaxis(array, 0, -1) if series.axes == "SYX" else array
    if array.ndim == 3 and array.shape[2] != 3:
        raise NotOneImage(f"holds {array.shape[2]} values for each pixel, wanted one or three")
    return upright_voxels(array, orientation)
