"""The skeleton of published sets of pictures: a layout, how many there are, and what is known of a split."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mednoisy.data.file_matching import files_by_id, images_with_masks
from mednoisy.data.images import listed
from mednoisy.errors import UserError

from .case_tables import origins_of
from .command import check_complete, command_line, folders, run_command
from .pictures import PARTS, Source, prepare_pictures

Parts = dict[str, list[Source]]
NO_SPLIT = "No split is published: all pictures are {}, as --section says."
OF_SECTION = {"train": "for training", "test": "test cases"}


@dataclass(frozen=True)
class PictureSet:
    """One published set.

    Attributes:
        name: of the module and the datalist.
        structure: what a mask shows.
        layout: what RAW holds, for messages.
        find: the pictures of RAW by `train`, `val` and `test`; a set without a split gives all of them as `train`.
        published: the ids of each part, or how many there are where the names are not known for sure.
        protocol: of the split; empty where none is published.
        section: of pictures without a split, unless the user says otherwise.
        void: see `PictureJob`.
    """

    name: str
    structure: str
    layout: str
    find: Callable[[Path], Parts]
    published: Mapping[str, Sequence[str] | int]
    protocol: str = ""
    section: str = "train"
    void: int | None = None

    def prepare(
        self,
        raw: Path | str,
        out: Path | str,
        seed: int = 0,
        workers: int = 1,
        allow_missing: bool = False,
        section: str | None = None,
    ) -> Path:
        """Make the prepared dataset; the path of its datalist.

        Args:
            raw: folder of the source files.
            out: folder to write.
            seed: of the order in which cases are labeled.
            workers: processes.
            allow_missing: whether to go on without published pictures.
            section: `train` or `test`, of a set without a split.

        Raises:
            UserError: E222 no known layout; E379 published pictures are not there; E42x images and masks that do not
                pair; E108 arguments out of range; E20x and E22x a damaged picture or mask.
        """
        raw, out = folders(raw, out, workers)
        parts: Parts = {part: [] for part in PARTS} | self.find(raw)
        if not any(parts.values()):
            cause = f"{raw} does not hold {self.layout}"
            raise UserError("E222", cause, "Name the folder that holds them, as it was unpacked")
        missing = [text for part, ids in self.published.items() if (text := _missing(part, ids, parts[part]))]
        check_complete(missing, allow_missing)
        protocol = self.protocol
        if not protocol:
            chosen = section or self.section
            parts = {part: parts["train"] if part == chosen else [] for part in PARTS}
            protocol = NO_SPLIT.format(OF_SECTION[chosen])
        if missing:
            protocol += f" Not here: {'; '.join(missing)}; compare with published figures accordingly."
        return prepare_pictures(self.name, self.structure, protocol, parts, out, seed, workers, self.void)

    def run(self, description: str, argv: list[str] | None) -> int:
        """The command line; its exit code."""
        parser = command_line(self.name, description, f"folder with {self.layout}", complete=True)
        parser.add_argument("--seed", type=int, default=0, help="of the order in which cases are labeled (default: 0)")
        if not self.protocol:
            help_text = f"what the pictures are for, since no split is published (default: {self.section})"
            parser.add_argument("--section", choices=("train", "test"), help=help_text)
        return run_command(
            parser,
            argv,
            lambda given: self.prepare(
                given.raw, given.out, given.seed, given.workers, given.allow_missing, getattr(given, "section", None)
            ),
        )


def sources(
    raw: Path,
    layouts: Sequence[tuple[str, str]],
    prefix: str = "",
    strip: Sequence[str] = (),
    centre: str | None = None,
) -> list[Source]:
    """The pictures of the first layout, folders of images and of masks, that is below `raw`; empty where none is.

    What `raw/cases.csv` says of their centre or sequence is kept.

    Args:
        prefix: of the names of masks; then images have numbers for names, and both may be in one folder.
        strip: endings that masks have and their images have not.
        centre: of all pictures for which the table names none.
    """
    for images, masks in layouts:
        if not ((raw / images).is_dir() and (raw / masks).is_dir()) or (
            prefix and not any((raw / masks).glob(f"{prefix}[0-9]*"))
        ):
            continue
        pairs = (
            _numbered(raw / images, raw / masks, prefix)
            if prefix
            else images_with_masks(raw / images, raw / masks, strip=strip, leave_out=["_superpixels"])
        )
        origins = origins_of(raw / "cases.csv")
        found = [(Path(name).name, *both) for name, both in pairs.items() if both[1] is not None]
        return [
            Source(name, image, mask, origins.get(name, (None, None))[0] or centre, origins.get(name, (None, None))[1])
            for name, image, mask in found
        ]
    return []


def numbers(count: int) -> list[str]:
    """ "1", "2" to `count`, as files are called."""
    return [str(number) for number in range(1, count + 1)]


def _numbered(images: Path, masks: Path, prefix: str) -> dict[str, tuple[Path, Path | None]]:
    of_images = {Path(name).name: path for name, path in files_by_id(images).items() if Path(name).name.isdigit()}
    named = {Path(name).name: path for name, path in files_by_id(masks).items()}
    return {name: (of_images[name], named.get(f"{prefix}{name}")) for name in sorted(of_images, key=int)}


def _missing(part: str, published: Sequence[str] | int, found: Sequence[Source]) -> str:
    """What of a part is not there, in words; empty where all is."""
    if isinstance(published, int):
        lacking = published - len(found)
        return f"{lacking} of the {published} {part} pictures" if lacking > 0 else ""
    there = {re.sub(r"^0+(?=\d)", "", source.case) for source in found}
    absent = [name for name in published if name not in there]
    return f"{part} pictures {listed(absent)}" if absent else ""
