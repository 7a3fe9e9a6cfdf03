"""The images of folders and patterns, and what they are called."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from mednoisy.data.file_formats import SUFFIXES, reader_of
from mednoisy.data.formats.dicom import holds_slices, is_dicom, series_folders
from mednoisy.data.images import case_name
from mednoisy.errors import UserError


def found_images(folder: str, endings: tuple[str, ...]) -> list[str]:
    """Paths of the files in a folder whose names end so, in any case of letters, in order of their names.

    Raises:
        UserError: E392, there is no such folder, or nothing of the kind in it.
    """
    if not Path(folder).is_dir():
        raise UserError("E392", f"the folder of images {folder} does not exist", "Correct --dataset_dir")
    found = sorted(str(path) for path in Path(folder).iterdir() if path.name.lower().endswith(endings))
    if not found:
        kinds = ", ".join(endings)
        raise UserError("E392", f"{folder} holds no image ({kinds})", "Correct --dataset_dir, or convert the images")
    return found


def cases_named(names: Sequence[str]) -> list[dict[str, str]]:
    """`id` and `image` of what files, folders and patterns name, each image once.

    Of a folder these are its files of a known format, in order, then the folders of DICOM slices at any depth below,
    each one image; a folder of slices is one itself, whatever lies beside them, and a slice stands for the folder that
    it lies in. A file's id is its name without suffix, that of a folder of slices its path below the folder that was
    named (of a pattern's match, with the match's own name), `_` for each `/`.

    Args:
        names: paths; those of no file or folder may hold the signs of a pattern (`scans/*_t1.nii.gz`, `**` for any
            depth).

    Raises:
        UserError: E374, a folder or a pattern without an image; what is neither comes back as it is, absent.
    """
    ids: dict[Path, str] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = [one for one in sorted(path.iterdir()) if not one.name.startswith(".") and one.is_file()]
            found = ({} if holds_slices(path) else _files(below)) | _series(path, path)
            _refuse_nothing(found, f"the folder {path}", nothing_there=not below)
        elif not path.exists() and glob.has_magic(name):
            matches = [Path(one) for one in sorted(glob.glob(name, recursive=True))]
            found = _files(matches)
            for folder in matches:
                found |= _series(folder, folder.parent) if folder.is_dir() else {}
            _refuse_nothing(found, f"what fits {name}", nothing_there=not matches)
        else:
            found = _files([path]) or {path: case_name(path)}
        ids |= {image: of for image, of in found.items() if image not in ids}
    return [{"id": of, "image": str(image)} for image, of in ids.items()]


def _files(paths: Sequence[Path]) -> dict[Path, str]:
    """The images among them, and the folders of those that are slices, with their ids."""
    found = {}
    for path in paths:
        if path.is_file() and reader_of(path) is not None:
            found[path] = case_name(path)
        elif path.is_file() and is_dicom(path):
            found |= _series(path.parent, path.parent)
    return found


def _series(folder: Path, root: Path) -> dict[Path, str]:
    """The folders of slices from `folder` on, and their ids."""
    found = {one: one.relative_to(root).parts or (one.resolve().name,) for one in series_folders(folder)}
    return {one: "_".join(parts) for one, parts in found.items()}


def _refuse_nothing(found: Mapping[Path, str], where: str, *, nothing_there: bool) -> None:
    if not found:
        cause = f"{where}: there is no file" if nothing_there else f"{where} holds no image"
        known = f"{', '.join(SUFFIXES)}, or folders of DICOM slices"
        raise UserError("E374", cause, f"Correct the path, or convert the images to one of {known}")
