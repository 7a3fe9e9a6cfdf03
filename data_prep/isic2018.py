"""Dermoscopy pictures with lesion masks of the ISIC 2018 challenge, task 1, in its official parts.

    python -m data_prep.isic2018 RAW OUT [--allow-missing] [--seed 0] [--workers 2]

RAW holds ISIC2018_Task1-2_Training_Input, ISIC2018_Task1_Training_GroundTruth and the same of Validation and Test, as
the archive unpacks: 2,594, 100 and 1,000 pictures. OUT is as of `dermoscopy`, and trains the bundle of that name.
"""

from __future__ import annotations

import sys

from .dermoscopy import ENDINGS, OFFICIAL
from .picture_sets import Layout, PictureSet, in_layouts

LAYOUTS = {part: [Layout(*folders)] for part, folders in OFFICIAL["ISIC 2018"].items()}
SET = PictureSet(
    name="isic2018",
    structure="lesion",
    about=__doc__,
    layout="ISIC2018_Task1-2_Training_Input and ISIC2018_Task1_Training_GroundTruth",
    find=in_layouts(LAYOUTS, strip=ENDINGS),
    published={"train": 2594, "val": 100, "test": 1000},
    protocol="Official parts of ISIC 2018, task 1.",
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
