"""Colonoscopy pictures with polyp masks of ETIS-Larib Polyp DB: 196 frames, mostly used as test cases.

    python -m data_prep.etis_larib RAW OUT [--section train] [--allow-missing] [--seed 0] [--workers 2]

RAW holds ETIS-LaribPolypDB/1.tif and `Ground Truth/p1.tif` to 196, or images/ and masks/ of one name each. No split is
published; papers on generalisation test on all of it. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .picture_sets import Parts, PictureSet, numbers, sources

FOLDERS = [("images", "masks"), ("ETIS-LaribPolypDB/images", "ETIS-LaribPolypDB/masks")]
PREFIXED = [
    ("ETIS-LaribPolypDB", "Ground Truth"),
    ("ETIS-LaribPolypDB/ETIS-LaribPolypDB", "ETIS-LaribPolypDB/Ground Truth"),
]


def find(raw: Path) -> Parts:
    """Every picture with its mask."""
    centre = "ETIS-LaribPolypDB"
    return {"train": sources(raw, FOLDERS, centre=centre) or sources(raw, PREFIXED, prefix="p", centre=centre)}


SET = PictureSet(
    name="etis_larib",
    structure="polyp",
    layout="ETIS-LaribPolypDB/1.tif and `Ground Truth/p1.tif`, or `images` and `masks`",
    find=find,
    published={"train": numbers(196)},
    section="test",
)
prepare = SET.prepare


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    return SET.run((__doc__ or "").split("\n")[0], argv)


if __name__ == "__main__":
    sys.exit(main())
