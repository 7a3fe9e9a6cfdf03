"""The images of a folder, for a bundle's inference."""

from __future__ import annotations

from pathlib import Path

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
