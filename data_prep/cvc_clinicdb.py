"""Colonoscopy pictures with polyp masks of CVC-ClinicDB: 612 frames of 29 sequences.

    python -m data_prep.cvc_clinicdb RAW OUT [--section test] [--allow-missing] [--seed 0] [--workers 2]

RAW holds Original/1.tif and `Ground Truth/1.tif` (or images/ and masks/) to 612. No split is published. Neighbouring
frames are almost the same picture, and the files do not say which sequence they are of: a table cases.csv in RAW
(columns id, sequence) makes them the `scene` that statistics draw together. OUT is as of `polyp`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .picture_sets import Parts, PictureSet, numbers, sources

LAYOUTS = [("Original", "Ground Truth"), ("TIF/Original", "TIF/Ground Truth"), ("images", "masks")]


def find(raw: Path) -> Parts:
    """Every picture with its mask."""
    return {"train": sources(raw, LAYOUTS, centre="CVC-ClinicDB")}


SET = PictureSet(
    name="cvc_clinicdb",
    structure="polyp",
    layout="`Original` and `Ground Truth`",
    find=find,
    published={"train": numbers(612)},
)
prepare = SET.prepare


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    return SET.run((__doc__ or "").split("\n")[0], argv)


if __name__ == "__main__":
    sys.exit(main())
