"""A bundle as MONAI's zoo keeps it: `large_files.yml` beside it, all of it in one archive."""

from __future__ import annotations

import hashlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import yaml

from mednoisy.export.frozen_bundle import MODEL

SOME_DAY = (2000, 1, 1, 0, 0, 0)  # of every file, so that the same run gives the same archive


def write_large_files(folder: Path, url: str | None = None) -> None:
    """Write `large_files.yml`, which tells the zoo's tools what weights belong here, by their SHA-256.

    With the weights in their place, MONAI's `download_large_files` compares the checksum and fetches nothing.

    Args:
        url: where the weights are published; None where nobody knows yet, which leaves it empty.
    """
    digest = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
    entry = {"path": MODEL, "url": url or "", "hash_val": digest, "hash_type": "sha256"}
    text = yaml.safe_dump({"large_files": [entry]}, sort_keys=False)
    (folder / "large_files.yml").write_text(text, encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Write all files of a folder into an archive, below the folder's name, in the order of their paths."""
    with ZipFile(archive, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = ZipInfo(str(path.relative_to(folder.parent)), SOME_DAY)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes(), ZIP_STORED if path.suffix == ".pt" else ZIP_DEFLATED)
