"""Colonoscopy pictures with polyp masks of Kvasir-SEG, in the training and validation lists of its authors.

    python -m data_prep.kvasir_seg RAW OUT [--allow-missing] [--seed 0] [--workers 2]

RAW holds images/ and masks/ as the archive unpacks, perhaps inside Kvasir-SEG: 1,000 JPEG pictures and JPEG masks,
which are cut at 127. 880 are for training, 120 for validation. OUT is as of `polyp` and trains that bundle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .picture_sets import Layout, Parts, PictureSet, sources

SPLIT = json.loads((Path(__file__).parent / "splits" / "kvasir_seg.json").read_text(encoding="utf-8"))
LISTS: dict[str, list[str]] = {part: SPLIT[part] for part in ("train", "val")}
LAYOUTS = [Layout("images", "masks"), Layout("Kvasir-SEG/images", "Kvasir-SEG/masks")]


def find(raw: Path) -> Parts:
    """The pictures of each list that are there."""
    by_name = {source.case: source for source in sources(raw, LAYOUTS, "Kvasir")}
    return {part: [by_name[name] for name in names if name in by_name] for part, names in LISTS.items()}


SET = PictureSet(
    name="kvasir_seg",
    structure="polyp",
    about=__doc__,
    layout="images and masks",
    find=find,
    published=LISTS,
    protocol="Training and validation lists of the authors of Kvasir-SEG (880 and 120 pictures, no test list).",
)
prepare, main = SET.prepare, SET.main

if __name__ == "__main__":
    sys.exit(main())
