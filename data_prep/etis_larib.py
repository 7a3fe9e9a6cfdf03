"""Colonoscopy pictures with polyp masks of ETIS-Larib Polyp DB: 196 frames, mostly used as test cases.

    python -m data_prep.etis_larib RAW OUT [--section train] [--allow-missing] [--seed 0] [--workers 2]

RAW holds ETIS-LaribPolypDB/1.tif and `Ground Truth/p1.tif` to 196, or images/ and masks/ of one name each. No split is
published; papers on generalisation test on all of it. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys

from .picture_sets import Layout, PictureSet, in_layouts, numbers

TOP = "ETIS-LaribPolypDB"
LAYOUTS = [
    Layout("images", "masks"),
    Layout(f"{TOP}/images", f"{TOP}/masks"),
    Layout(TOP, "Ground Truth", prefix="p"),
    Layout(f"{TOP}/{TOP}", f"{TOP}/Ground Truth", prefix="p"),
]
SET = PictureSet(
    name="etis_larib",
    structure="polyp",
    about=__doc__,
    layout="ETIS-LaribPolypDB/1.tif and `Ground Truth/p1.tif`, or `images` and `masks`",
    find=in_layouts({"train": LAYOUTS}, TOP),
    published={"train": numbers(196)},
    section="test",
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
