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
class Layout:
    """Two folders below RAW, of images and of masks.

    Attributes:
        prefix: of the names of masks; then images have numbers for names, and both may be in one folder.
    """

    images: str
    masks: str
    prefix: str = ""

    def there(self, raw: Path) -> bool:
        """Whether `raw` has it."""
        folders_there = (raw / self.images).is_dir() and (raw / self.masks).is_dir()
        return folders_there and (not self.prefix or any((raw / self.masks).glob(f"{self.prefix}[0-9]*")))

    def pairs(self, raw: Path, strip: Sequence[str]) -> dict[str, tuple[Path, Path | None]]:
        """Each image and its mask, by id."""
        if not self.prefix:
            return images_with_masks(raw / self.images, raw / self.masks, strip=strip, leave_out=["_superpixels"])
        named = {Path(name).name: path for name, path in files_by_id(raw / self.images).items()}
        images = {name: path for name, path in named.items() if name.isdigit()}
        masks = {Path(name).name: path for name, path in files_by_id(raw / self.masks).items()}
        return {name: (images[name], masks.get(f"{self.prefix}{name}")) for name in sorted(images, key=int)}


@dataclass(frozen=True)
class PictureSet:
    """One published set.

    Attributes:
        name: of the module and the datalist.
        structure: what a mask shows.
        about: the module's docstring, whose first line is the command's description.
        layout: what RAW holds, for messages.
        find: the pictures of RAW by `train`, `val` and `test` (`in_layouts`); a set without a split has all in `train`.
        published: the ids of each part, or how many there are where the names are not known for sure.
        protocol: of the split; empty where none is published.
        section: of pictures without a split, unless the user says otherwise.
        void: see `PictureJob`.
    """

    name: str
    structure: str
    about: str | None
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

    def main(self, argv: list[str] | None = None) -> int:
        """The command line; its exit code."""
        description = (self.about or "").split("\n")[0]
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


def in_layouts(
    layouts: Mapping[str, Sequence[Layout]], centre: str | None = None, strip: Sequence[str] = ()
) -> Callable[[Path], Parts]:
    """What finds the pictures of each part in the first of its layouts that is there; see `sources`."""
    return lambda raw: {part: sources(raw, of_part, centre, strip) for part, of_part in layouts.items()}


def sources(raw: Path, layouts: Sequence[Layout], centre: str | None = None, strip: Sequence[str] = ()) -> list[Source]:
    """The pictures of the first layout that is below `raw` and has a mask; empty where none is.

    What `raw/cases.csv` says of their centre or sequence is kept.

    Args:
        centre: of all pictures for which the table names none.
        strip: endings that masks have and their images have not.
    """
    for layout in layouts:
        pairs = layout.pairs(raw, strip) if layout.there(raw) else {}
        found = [(Path(name).name, image, mask) for name, (image, mask) in pairs.items() if mask is not None]
        if found:
            origins = origins_of(raw / "cases.csv")
            of_case = {name: origins.get(name, (None, None)) for name, _, _ in found}
            return [
                Source(name, image, mask, of_case[name][0] or centre, of_case[name][1]) for name, image, mask in found
            ]
    return []


def numbers(count: int) -> list[str]:
    """ "1", "2" to `count`, as files are called."""
    return [str(number) for number in range(1, count + 1)]


def _missing(part: str, published: Sequence[str] | int, found: Sequence[Source]) -> str:
    """What of a part is not there, in words; empty where all is."""
    if isinstance(published, int):
        lacking = published - len(found)
        return f"{lacking} of the {published} {part} pictures" if lacking > 0 else ""
    there = {re.sub(r"^0+(?=\d)", "", source.case) for source in found}
    absent = [name for name in published if name not in there]
    return f"{part} pictures {listed(absent)}" if absent else ""
