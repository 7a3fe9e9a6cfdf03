"""Label maps that need not be made again: a hidden file beside them says of which images and by what they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mednoisy.data.file_matching import MADE_BY
from mednoisy.files import write_text


class KeptLabelMaps:
    """The label maps of a folder with their origin.

    One is kept where the file is there and was made from this very image (path, size, time of change) by these very
    networks and settings; what somebody corrected by hand since then stays. Other networks or settings forget all.

    Args:
        folder: of the label maps.
        made_by: whatever tells networks and settings apart; plain values.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any]):
        self.folder, self.made_by = folder, json.loads(json.dumps(made_by))
        self.images: dict[str, list[Any]] = {}  # name of the label map's file -> its image
        try:
            content = json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
            if content["made_by"] == self.made_by:
                self.images = dict(content["images"])
        except (OSError, ValueError, KeyError, TypeError):  # none, or of no use: everything is made anew
            self.images = {}

    def holds(self, file: Path, image: Path) -> bool:
        """Whether a label map of the folder need not be made."""
        return file.is_file() and self.images.get(file.name) == _identity(image)

    def note(self, file: Path, image: Path) -> None:
        """Remember a label map that was written just now."""
        self.images[file.name] = _identity(image)
        content = {"made_by": self.made_by, "images": self.images}
        write_text(self.folder / MADE_BY, json.dumps(content, ensure_ascii=False) + "\n")


def digest_of(files: Iterable[Path]) -> str:
    """16 hexadecimal digits of the content of files."""
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return digest.hexdigest()


def _identity(image: Path) -> list[Any]:
    """Path, size and time of a file; of a folder of slices the size and the latest time of all its files."""
    files = [path.stat() for path in image.iterdir() if path.is_file()] if image.is_dir() else [image.stat()]
    sizes, times = [found.st_size for found in files], [found.st_mtime_ns for found in files]
    return [str(image.resolve()), sum(sizes), max(times, default=0), *([len(files)] if image.is_dir() else [])]
