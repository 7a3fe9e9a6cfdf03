"""Colonoscopy pictures with polyp masks of CVC-ClinicDB: 612 frames of 29 sequences.

    python -m data_prep.cvc_clinicdb RAW OUT [--section test] [--allow-missing] [--seed 0] [--workers 2]

RAW holds Original/1.tif and `Ground Truth/1.tif` (or images/ and masks/) to 612. No split is published. Neighbouring
frames are almost the same picture, and the files do not say which sequence they are of: a table cases.csv in RAW
(columns id, sequence) makes them the `scene` that statistics draw together. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys

from .picture_sets import Layout, PictureSet, in_layouts, numbers

LAYOUTS = [
    Layout("Original", "Ground Truth"),
    Layout("TIF/Original", "TIF/Ground Truth"),
    Layout("images", "masks"),
]
SET = PictureSet(
    name="cvc_clinicdb",
    structure="polyp",
    about=__doc__,
    layout="`Original` and `Ground Truth`",
    find=in_layouts({"train": LAYOUTS}, "CVC-ClinicDB"),
    published={"train": numbers(612)},
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
