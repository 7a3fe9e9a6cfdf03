"""Pictures of rows and columns: PNG, JPEG and BMP by Pillow, and what a viewer shows of them.

PNG carries checksums, which are read (`png.py`). JPEG and BMP carry none: of a flipped byte nobody can tell.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from mednoisy.data.formats.png import check_png
from mednoisy.data.formats.voxels import UPRIGHT, Voxels

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
GREY_MODES = ("1", "L", "I;16", "I;16B", "I;16L", "I", "F")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
KEYED_MODES = ("L", "P", "RGB")  # in which PNG may call one value transparent; 16-bit greys keep their depth instead
ORIENTATION = 0x0112  # the tag of EXIF, XMP and TIFF
PIXELS_A_BYTE = 1024  # at most: Huffman codes of JPEG take a bit for 64 pixels (512 a byte), BMP's runs 2 bytes for 255
SMALL = 2**20  # pixels, which any file may claim

warnings.filterwarnings("ignore", category=Picture.DecompressionBombWarning)  # a slide's mask; more is refused
warnings.filterwarnings("ignore", message="Corrupt EXIF data")  # a camera's remarks, not the picture


def read_picture(path: Path, key: str) -> Voxels:
    """A PNG, JPEG or BMP picture: rows and columns as a viewer shows them, greys at their full depth, all else as RGB.

    The orientation of EXIF is applied. Palettes, CMYK and other colour models become RGB of 8 bits a channel, without
    colour profiles. What is transparent lies on black, so that it is background in a mask too.
    """
    check_png(path)
    with Picture.open(path, formats=PILLOW_FORMATS) as picture:
        if picture.format not in ("PNG", "TIFF"):
            check_pixels(picture, path, PIXELS_A_BYTE)
        return of_picture(picture)


def check_pixels(picture: Picture.Image, path: Path, pixels_a_byte: float) -> None:
    """Refuse a picture that claims more pixels than its bytes can hold, before memory is taken for them."""
    pixels, there = picture.width * picture.height, path.stat().st_size
    if pixels > SMALL and pixels > there * pixels_a_byte:
        claim = f"{picture.width}x{picture.height} pixels"
        raise ValueError(f"its header claims {claim}, its {there:,} bytes cannot hold so many")


def of_picture(picture: Picture.Image) -> Voxels:
    """What a picture that Pillow has opened holds."""
    picture.load()  # Pillow turns TIFFs by itself here, and forgets the tag
    keyed = "transparency" in picture.info and picture.mode in KEYED_MODES
    if keyed or picture.mode in ALPHA_MODES:
        grey = picture.mode in ("L", "LA", "La")
        array = _on_black(np.asarray(picture.convert("RGBA")))
        array = array[..., 0] if grey else array
    else:
        array = np.asarray(picture.convert(picture.mode if picture.mode in GREY_MODES else "RGB"))
    return upright_voxels(array, picture.getexif().get(ORIENTATION, UPRIGHT))


def upright_voxels(array: np.ndarray, orientation: int) -> Voxels:
    """A picture as a viewer shows it: orientations 2 to 8 flip or turn, anything else is as it should be."""
    turned = orientation if orientation in range(2, 9) else UPRIGHT
    if turned in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        array = array[::-1]
    if turned in (2, 3, 6, 7):
        array = array[:, ::-1]
    return Voxels(array, np.eye(4), 2, located=False, order="rows", placed=False, turned=turned)


def _on_black(array: np.ndarray) -> np.ndarray:
    """(rows, columns, 4) as RGB on a black ground; refuses a picture that is drawn by transparency alone."""
    colours, alpha = array[..., :3], array[..., 3:]
    if alpha.min() == 255:
        return colours
    flat = np.rint(colours * (alpha / np.float32(255))).astype(np.uint8)
    if not flat.any() and (colours.any() or alpha.any()):
        raise ValueError("all that can be seen is black, what it shows is in its transparency; store it without")
    return flat
