"""Colonoscopy pictures with polyp masks of CVC-ColonDB: 300 frames of 15 sequences, or the 380 in use since.

    python -m data_prep.cvc_colondb RAW OUT [--section train] [--allow-missing] [--seed 0] [--workers 2]

RAW holds 1.bmp to 300.bmp and the masks p1.bmp to p300.bmp in one folder (with s1.bmp and c1.bmp, which are passed
over), or images/ and masks/ of one name each, as the set of 380 goes round. No split is published; papers on
generalisation test on all of it. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys

from .picture_sets import Layout, PictureSet, in_layouts

LAYOUTS = [
    Layout("images", "masks"),
    Layout("CVC-ColonDB/images", "CVC-ColonDB/masks"),
    Layout("CVC-ColonDB", "CVC-ColonDB", prefix="p"),
    Layout("", "", prefix="p"),
]
SET = PictureSet(
    name="cvc_colondb",
    structure="polyp",
    about=__doc__,
    layout="1.bmp and p1.bmp, or `images` and `masks`",
    find=in_layouts({"train": LAYOUTS}, "CVC-ColonDB"),
    published={"train": 300},
    section="test",
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
