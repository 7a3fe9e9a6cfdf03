"""The images of folders and patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from mednoisy.data.file_formats import SUFFIXES, reader_of
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


def images_named(names: Sequence[str]) -> list[Path]:
    """The images that files, folders and patterns name, each once: of a folder those of a known format, in order.

    Args:
        names: paths; those of no file or folder may hold the signs of a pattern (`scans/*_t1.nii.gz`, `**` for any
            depth).

    Raises:
        UserError: E374, a folder or a pattern without an image; what is neither comes back as it is, absent.
    """
    images: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = [below for below in sorted(path.iterdir()) if not below.name.startswith(".") and below.is_file()]
            images += _known(found, f"the folder {path}")
        elif not path.exists() and glob.has_magic(name):
            images += _known([Path(one) for one in sorted(glob.glob(name, recursive=True))], f"what fits {name}")
        else:
            images.append(path)
    return list(dict.fromkeys(images))


def _known(paths: Sequence[Path], where: str) -> list[Path]:
    images = [path for path in paths if path.is_file() and reader_of(path) is not None]
    if not images:
        cause = f"{where} holds no image" if paths else f"{where}: there is no file"
        raise UserError("E374", cause, f"Correct the path, or convert the images to one of {', '.join(SUFFIXES)}")
    return images
