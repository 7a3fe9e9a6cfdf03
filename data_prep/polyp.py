"""Colonoscopy pictures with polyp masks, from several centres.

    python -m data_prep.polyp RAW OUT [--seed 0] [--workers 2]

RAW holds either images/, masks/, cases.csv (columns id, centre and perhaps sequence) and split.json (lists of ids:
train, val, test, test_seen), or the TrainDataset and TestDataset of PraNet, whose collections are the centres. OUT
receives the pictures as they are, masks of one bit at native size and datalist.json: training cases in a drawn order in
which every beginning holds the centres in their shares (20 % of the cases are 20 % of each), validation cases, and test
cases that name their centre. Frames of one sequence share a `scene`, which statistics resample as one; the order of
labels takes no notice of it. A second run does nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mednoisy.data.file_matching import images_with_masks
from mednoisy.errors import UserError

from .command import command_line, folders, run_command
from .pictures import Source, prepare_pictures, sources_of_split

PARTS = {"train": ["train"], "val": ["val"], "test": ["test_seen", "test"]}
FOLDERS = (("images", "masks"), ("image", "mask"))  # as the archives of PraNet name them


def prepare(raw: Path | str, out: Path | str, seed: int = 0, workers: int = 1) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        raw: folder of the source files, in either layout.
        out: folder to write.
        seed: of the order in which cases are labeled.
        workers: processes.

    Raises:
        UserError: E222 no known layout; E42x images and masks that do not pair; E108 arguments out of range; E20x and
            E22x a damaged picture or mask.
    """
    raw, out = folders(raw, out, workers)
    if (raw / "split.json").is_file():
        parts, protocol = sources_of_split(raw, PARTS), "Split of split.json in the source folder."
    else:
        parts, protocol = _pranet(raw), "Published split of PraNet (Kvasir-SEG and CVC-ClinicDB in training)."
    return prepare_pictures("polyp", "polyp", protocol, parts, out, seed, workers)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    description = (__doc__ or "").split("\n")[0]
    parser = command_line("polyp", description, "folder with images/, masks/ and split.json, or with TrainDataset/")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which cases are labeled (default: 0)")
    return run_command(parser, argv, lambda given: prepare(given.raw, given.out, given.seed, given.workers))


def _pranet(raw: Path) -> dict[str, list[Source]]:
    pairs = _pairs(raw / "TrainDataset")
    if pairs is None:
        cause = f"{raw} holds neither split.json nor TrainDataset with `images` and `masks`"
        raise UserError("E222", cause, "Name the folder that holds them")
    train = [_source(_collection(name), name, *both) for name, both in pairs.items()]
    tests = sorted(folder for folder in (raw / "TestDataset").glob("*") if folder.is_dir())
    test = [_source(folder.name, name, *both) for folder in tests for name, both in (_pairs(folder) or {}).items()]
    return {"train": train, "val": [], "test": test}


def _pairs(folder: Path) -> dict[str, tuple[Path, Path | None]] | None:
    for images, masks in FOLDERS:
        if (folder / images).is_dir():
            return images_with_masks(folder / images, folder / masks)
    return None


def _collection(name: str) -> str:
    """Of a training picture: those of CVC-ClinicDB are numbered, those of Kvasir-SEG are not."""
    return "CVC-ClinicDB" if name.isdigit() else "Kvasir"


def _source(collection: str, name: str, image: Path, mask: Path | None) -> Source:
    """Called by its collection too, for their numbers coincide."""
    return Source(f"{collection}_{Path(name).name}", image, mask, collection)


if __name__ == "__main__":
    sys.exit(main())
