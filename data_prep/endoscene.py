"""Colonoscopy pictures with polyp masks of EndoScene (CVC-912, of which CVC-300 is a part), in its official parts.

    python -m data_prep.endoscene RAW OUT [--allow-missing] [--seed 0] [--workers 2]

RAW holds train, valid and test, each with images/*.bmp and masks2/*.tif, perhaps inside CVC-912: 547, 183 and 182
pictures. Code 2 of a mask is the black border of the frame, here background. The 60 test pictures that PraNet calls
CVC-300 come with its TestDataset, which `polyp` reads. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys

from .picture_sets import Layout, PictureSet, in_layouts

NAMES = {"train": "train", "val": "valid", "test": "test"}

LAYOUTS = {
    part: [Layout(f"{top}{name}/images", f"{top}{name}/masks2") for top in ("", "CVC-912/")]
    for part, name in NAMES.items()
}
SET = PictureSet(
    name="endoscene",
    structure="polyp",
    about=__doc__,
    layout="train, valid and test with `images` and `masks2`",
    find=in_layouts(LAYOUTS, "EndoScene"),
    published={"train": 547, "val": 183, "test": 182},
    protocol="Official parts of EndoScene; what its masks leave void is background.",
    void=2,
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
