"""Dermoscopy pictures with lesion masks of Hospital Pedro Hispano (PH2), 200 of them, mostly used as test cases.

    python -m data_prep.ph2 RAW OUT [--section train] [--allow-missing] [--seed 0] [--workers 2]

RAW holds the folders IMD002, IMD003 and so on, each with IMD002_Dermoscopic_Image/IMD002.bmp and
IMD002_lesion/IMD002_lesion.bmp, perhaps inside `PH2 Dataset images`. No split is published. OUT is as of `dermoscopy`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .picture_sets import Parts, PictureSet
from .pictures import Source

WHERE = ("", "PH2 Dataset images", "PH2_Dataset_images", "PH2Dataset/PH2 Dataset images")


def find(raw: Path) -> Parts:
    """Every picture with its lesion's mask."""
    images = [path for where in WHERE for path in sorted((raw / where).glob("IMD*/*_Dermoscopic_Image/IMD*.bmp"))]
    masks = {path: path.parents[1] / f"{path.stem}_lesion" / f"{path.stem}_lesion.bmp" for path in images}
    return {"train": [Source(path.stem, path, mask, "PH2") for path, mask in masks.items() if mask.is_file()]}


SET = PictureSet(
    name="ph2",
    structure="lesion",
    about=__doc__,
    layout="folders IMD002 with IMD002_Dermoscopic_Image and IMD002_lesion",
    find=find,
    published={"train": 200},
    section="test",
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
