"""The images of folders and patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from mednoisy.data.file_formats import SUFFIXES, reader_of
from mednoisy.data.formats.dicom import holds_dicom, is_dicom, series_folders
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


def images_named(names: Sequence[str], *, series: bool = False) -> list[Path]:
    """The images that files, folders and patterns name, each once: of a folder those of a known format, in order.

    Args:
        names: paths; those of no file or folder may hold the signs of a pattern (`scans/*_t1.nii.gz`, `**` for any
            depth).
        series: whether a folder of DICOM slices is an image. One that holds slices, or no image of a known format,
            stands for the series in it and at any depth below it, a slice for the series around it.

    Raises:
        UserError: E374, a folder or a pattern without an image; what is neither comes back as it is, absent.
    """
    images: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            images += _of_folder(path, series)
        elif not path.exists() and glob.has_magic(name):
            found = [Path(one) for one in sorted(glob.glob(name, recursive=True))]
            images += _known(found, f"what fits {name}", series)
        else:
            images.append(path.parent if series and _is_slice(path) else path)
    return list(dict.fromkeys(images))


def _of_folder(folder: Path, series: bool) -> list[Path]:
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.is_file()]
    if series and (holds_dicom(folder) or not any(map(reader_of, found))) and (of_series := series_folders(folder)):
        return of_series
    return _known(found, f"the folder {folder}")


def _is_slice(path: Path) -> bool:
    """Whether a path is that of one file of a DICOM series; what has an image's name is the image."""
    return reader_of(path) is None and is_dicom(path)


def _known(paths: Sequence[Path], where: str, series: bool = False) -> list[Path]:
    images = []
    for path in paths:
        if path.is_dir():
            images += [path] if series and holds_dicom(path) else []
        elif series and _is_slice(path):
            images.append(path.parent)
        elif path.is_file() and reader_of(path) is not None:
            images.append(path)
    if not images:
        cause = f"{where} holds no image" if paths else f"{where}: there is no file"
        raise UserError("E374", cause, f"Correct the path, or convert the images to one of {', '.join(SUFFIXES)}")
    return images
