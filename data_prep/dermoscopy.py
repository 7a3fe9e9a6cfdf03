"""Dermoscopy pictures with lesion masks (ISIC 2017, ISIC 2018, or any folder with a split).

    python -m data_prep.dermoscopy RAW OUT [--seed 0] [--workers 2]

RAW holds either images/, masks/ and split.json (lists of ids: train, val, test), or the published folders
ISIC-2017_Training_Data, ISIC-2017_Training_Part1_GroundTruth and so on (ISIC 2018 likewise). OUT receives the
pictures as they are, masks of one bit at native size and datalist.json: training cases in a drawn order, all with
their label where there is one, validation and test cases. A second run does nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mednoisy.data.file_matching import images_with_masks
from mednoisy.errors import UserError

from .command import command_line, folders, run_command
from .pictures import PARTS, Source, prepare_pictures, sources_of_split

OFFICIAL = {  # images and masks of each part
    "ISIC 2017": {
        "train": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        "val": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        "test": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    },
    "ISIC 2018": {
        "train": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
        "val": ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),
        "test": ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
    },
}
ENDINGS = ("_segmentation", "_Segmentation")  # the challenge writes both


def prepare(raw: Path | str, out: Path | str, seed: int = 0, workers: int = 1) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        raw: folder of the source files, in any of the layouts.
        out: folder to write.
        seed: of the order in which cases are labeled.
        workers: processes.

    Raises:
        UserError: E222 no known layout; E42x images and masks that do not pair; E108 arguments out of range; E20x and
            E22x a damaged picture or mask.
    """
    raw, out = folders(raw, out, workers)
    if (raw / "split.json").is_file():
        parts = sources_of_split(raw, {part: [part] for part in PARTS})
        protocol = "Split of split.json in the source folder, not a challenge's."
    else:
        parts, protocol = _official(raw)
    return prepare_pictures("dermoscopy", "lesion", protocol, parts, out, seed, workers)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    description = (__doc__ or "").split("\n")[0]
    parser = command_line("dermoscopy", description, "folder with images/, masks/ and split.json, or an ISIC archive's")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which cases are labeled (default: 0)")
    return run_command(parser, argv, lambda given: prepare(given.raw, given.out, given.seed, given.workers))


def _official(raw: Path) -> tuple[dict[str, list[Source]], str]:
    """The published parts that are there, and the protocol."""
    for name, layout in OFFICIAL.items():
        there = {part: (raw / images, raw / masks) for part, (images, masks) in layout.items()}
        there = {part: both for part, both in there.items() if all(folder.is_dir() for folder in both)}
        if "train" in there:
            parts = {part: _sources(*there[part]) if part in there else [] for part in PARTS}
            absent = [part for part in PARTS if part not in there]
            return parts, f"Official parts of {name}." + (f" Not here: {', '.join(absent)}." if absent else "")
    cause = f"{raw} holds neither split.json nor an ISIC archive's folders of training images and masks"
    wanted = " and ".join(OFFICIAL["ISIC 2017"]["train"])
    raise UserError("E222", cause, f"Name the folder that holds them, for example {wanted}")


def _sources(images: Path, masks: Path) -> list[Source]:
    pairs = images_with_masks(images, masks, strip=ENDINGS, leave_out=["_superpixels"])
    return [Source(Path(case).name, *both) for case, both in pairs.items()]


if __name__ == "__main__":
    sys.exit(main())
