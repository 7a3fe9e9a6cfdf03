"""Colonoscopy pictures with polyp masks of EndoScene (CVC-912, of which CVC-300 is a part), in its official parts.

    python -m data_prep.endoscene RAW OUT [--allow-missing] [--seed 0] [--workers 2]

RAW holds train, valid and test, each with images/*.bmp and masks2/*.tif, perhaps inside CVC-912: 547, 183 and 182
pictures. Code 2 of a mask is the black border of the frame, here background. The 60 test pictures that PraNet calls
CVC-300 come with its TestDataset, which `polyp` reads. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .picture_sets import Parts, PictureSet, sources

NAMES = {"train": "train", "val": "valid", "test": "test"}
COUNTS = {"train": 547, "val": 183, "test": 182}


def find(raw: Path) -> Parts:
    """The pictures of each official part that is there."""
    layouts = {
        part: [(f"{top}{name}/images", f"{top}{name}/masks2") for top in ("", "CVC-912/")]
        for part, name in NAMES.items()
    }
    return {part: sources(raw, of_part, centre="EndoScene") for part, of_part in layouts.items()}


SET = PictureSet(
    name="endoscene",
    structure="polyp",
    layout="train, valid and test with `images` and `masks2`",
    find=find,
    published=COUNTS,
    protocol="Official parts of EndoScene; what its masks leave void is background.",
    void=2,
)
prepare = SET.prepare


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    return SET.run((__doc__ or "").split("\n")[0], argv)


if __name__ == "__main__":
    sys.exit(main())
