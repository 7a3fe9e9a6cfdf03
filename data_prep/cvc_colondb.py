"""Colonoscopy pictures with polyp masks of CVC-ColonDB: 300 frames of 15 sequences, or the 380 in use since.

    python -m data_prep.cvc_colondb RAW OUT [--section train] [--allow-missing] [--seed 0] [--workers 2]

RAW holds 1.bmp to 300.bmp and the masks p1.bmp to p300.bmp in one folder (with s1.bmp and c1.bmp, which are passed
over), or images/ and masks/ of one name each, as the set of 380 goes round. No split is published; papers on
generalisation test on all of it. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .picture_sets import Parts, PictureSet, sources

FOLDERS = [("images", "masks"), ("CVC-ColonDB/images", "CVC-ColonDB/masks")]
ONE_FOLDER = [("CVC-ColonDB", "CVC-ColonDB"), ("", "")]


def find(raw: Path) -> Parts:
    """Every picture with its mask."""
    centre = "CVC-ColonDB"
    return {"train": sources(raw, FOLDERS, centre=centre) or sources(raw, ONE_FOLDER, prefix="p", centre=centre)}


SET = PictureSet(
    name="cvc_colondb",
    structure="polyp",
    layout="1.bmp and p1.bmp, or `images` and `masks`",
    find=find,
    published={"train": 300},
    section="test",
)
prepare = SET.prepare


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    return SET.run((__doc__ or "").split("\n")[0], argv)


if __name__ == "__main__":
    sys.exit(main())
