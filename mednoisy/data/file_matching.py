"""What a folder's files are called, and which of two folders' files belong together."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path, PurePosixPath

from mednoisy.data.file_formats import SUFFIXES, reader_of
from mednoisy.data.images import case_name, listed
from mednoisy.errors import UserError

HEADERS, DETACHED = (".mhd", ".nhdr"), (".raw", ".zraw", ".raw.gz", ".raw.bz2", ".gz", ".bz2", ".img", ".bin", ".txt")
COMPANIONS = (  # of cases in archives: texts, tables, programs' notes; never voxels
    *(".txt", ".md", ".rst", ".pdf", ".html", ".htm", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"),
    *(".log", ".ini", ".db", ".doc", ".docx", ".xls", ".xlsx", ".py", ".sh", ".bval", ".bvec", ".bib", ".cff"),
)
KNOWN = ", ".join(SUFFIXES)
MADE_BY = ".made_by.json"  # in folders that `mednoisy predict` wrote: which networks made the label maps


def images_with_masks(
    images: Path, masks: Path, strip: Sequence[str] = (), leave_out: Sequence[str] = ()
) -> dict[str, tuple[Path, Path | None]]:
    """Each image of a folder and its mask in another, by id, sorted; None where it has no mask.

    Args:
        images, masks: folders, searched at any depth.
        strip: endings that masks have and their images have not, such as "_mask".
        leave_out: endings of names of files among the images that are none, such as "_superpixels".

    Raises:
        UserError: E420 and E421 as `files_by_id`: two images, or two masks, of one id; E422 no id in common; E423
            masks without image.
    """
    of_images = {name: path for name, path in files_by_id(images).items() if not name.endswith(tuple(leave_out))}
    of_masks = files_by_id(masks, strip)
    if lonely := sorted(of_masks.keys() - of_images.keys()):
        if not of_masks.keys() & of_images.keys():
            cause = f"{images} and {masks} have no id in common"
            raise UserError(
                "E422", cause, f"Name the files alike; now there are {min(of_images, default='')!r} and {lonely[0]!r}"
            )
        cause = f"{masks} holds masks without image in {images}: {listed(lonely)}"
        raise UserError("E423", cause, "Add the images, or remove the masks")
    return {name: (of_images[name], of_masks.get(name)) for name in sorted(of_images)}


def files_by_id(
    folder: Path, strip: Sequence[str] = (), *, skip_unknown: bool = False, without: str = ""
) -> dict[str, Path]:
    """The files of known formats at any depth, by id: the path below the folder without suffix ("021", "site A/021").

    Hidden files and folders are left out, folders that are links are not followed.

    Args:
        strip: endings that are cut off names, such as "_segmentation".
        skip_unknown: pass over files of unknown formats.
        without: folders below that hold a file of this name are left out; none where it is empty.

    Raises:
        UserError: E420 no such folder, or nothing of a known format in it; E421 an id twice, all of them listed; E242
            files of unknown formats, without one of a known format beside them.
    """
    if not folder.is_dir():
        raise UserError("E420", f"{folder} is no folder", "Correct the path")
    by_id: dict[str, Path] = {}
    twice: list[str] = []
    strange: list[Path] = []
    for path in _walked(folder, without):
        if reader_of(path) is None:
            strange.append(path)
            continue
        below = path.relative_to(folder).parent / _stripped(case_name(path), strip)
        name = unicodedata.normalize("NFC", below.as_posix())
        if name in by_id:
            twice.append(f"{name} ({by_id[name].name}, {path.name})")
        by_id.setdefault(name, path)
    if twice:
        raise UserError("E421", f"{folder} holds more than one file for {listed(twice)}", "Keep one of each")
    if not by_id:
        raise UserError("E420", f"{folder} holds no file of a known format", f"Known: {', '.join(SUFFIXES)}")
    if not skip_unknown:
        _refuse_unknown(folder, strange, list(by_id.values()))
    return by_id


def _refuse_unknown(folder: Path, strange: Sequence[Path], known: Sequence[Path]) -> None:
    """Refuse files that no reader knows, which may be cases: all but texts, and what accompanies a known file."""
    named = {(path.parent, case_name(path)) for path in known}
    detached = {path.parent for path in known if path.suffix.lower() in HEADERS}
    cases = [
        path.relative_to(folder).as_posix()
        for path in strange
        if path.suffix.lower() not in COMPANIONS
        and not {(path.parent, path.name.split(".")[0]), (path.parent, path.stem)} & named
        and not (path.parent in detached and path.name.lower().endswith(DETACHED))
    ]
    if cases:
        cause = f"{folder} holds files that no reader knows: {listed(cases)}"
        raise UserError("E242", cause, f"Convert them, or move them away if they are no cases; known are {KNOWN}")


def _walked(folder: Path, without: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError("E420", f"{error.filename} cannot be listed: {error.strerror}", "Make it readable") from error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (without and Path(where, name, without).is_file())
        )
        yield from (Path(where, name) for name in sorted(names) if not name.startswith("."))


def _stripped(name: str, strip: Sequence[str]) -> str:
    """The name without the longest of the endings that it has; never nothing."""
    name = unicodedata.normalize("NFC", name)
    for ending in sorted((unicodedata.normalize("NFC", ending) for ending in strip), key=len, reverse=True):
        if ending and name.endswith(ending) and name != ending:
            return name.removesuffix(ending)
    return name


def namings(files: Mapping[str, Path]) -> list[Mapping[str, Path]]:
    """The ways to call a folder's files: without the name that all of them share, if so, and as they are."""
    ids = [PurePosixPath(name) for name in files]
    if len({name.name for name in ids}) > 1 or any(len(name.parts) < 2 for name in ids):
        return [files]
    return [{PurePosixPath(name).parent.as_posix(): path for name, path in files.items()}, files]


def best_match(first: Mapping[str, Path], second: Mapping[str, Path]) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """The namings with most ids in common, the shortest of them."""
    return max(product(namings(first), namings(second)), key=lambda both: len(both[0].keys() & both[1].keys()))
