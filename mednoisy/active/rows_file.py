"""Rows of numbers by case id in an HDF5 file, with what they were made by; written and read without holding all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mednoisy.errors import UserError
from mednoisy.files import telling_full_disk, written_aside

ROWS, IDS, IMAGES = "rows", "ids", "images"
AGAIN = "Drop --features, and let mednoisy query make its own"


class RowsWriter:
    """Takes rows of one length, one case at a time; the first tells the length."""

    def __init__(self, file: h5py.File, count: int):
        self._file, self._count, self.ids, self.images = file, count, list[str](), list[str]()

    def add(self, case: str, row: np.ndarray, image: str) -> None:
        """Keep a case's row, (D,), and the fingerprint of the image that it was made of."""
        if ROWS not in self._file:  # contiguous, so that it can be mapped into memory
            self._file.create_dataset(ROWS, (self._count, len(row)), np.float32)
        self._file[ROWS][len(self.ids)] = np.asarray(row, np.float32)
        self.ids.append(case)
        self.images.append(image)


@contextmanager
def rows_written(path: Path, facts: Mapping[str, str], count: int) -> Iterator[RowsWriter]:
    """A file that gets at most `count` rows; whole or not at all.

    Args:
        facts: by what the rows were made, such as the digest of a network; `read_rows` compares them.

    Raises:
        UserError: E320, the disk is full or fails.
    """
    with telling_full_disk(path), written_aside(path) as aside, h5py.File(aside, "w", locking=False) as file:
        writer = RowsWriter(file, count)
        yield writer
        for name, words in ((IDS, writer.ids), (IMAGES, writer.images)):
            file.create_dataset(name, data=words, dtype=h5py.string_dtype())
        for name, value in facts.items():
            file.attrs[name] = value


@dataclass(frozen=True)
class StoredRows:
    """What a file holds.

    Attributes:
        row_of: the row of each case.
        images: of each row, the fingerprint of the image that it was made of.
        rows: (N, D), mapped into memory.
    """

    row_of: Mapping[str, int]
    images: Sequence[str]
    rows: np.ndarray

    def made_of(self, case: str) -> str | None:
        """The fingerprint of the image that a case's row was made of; None where there is no row."""
        return self.images[self.row_of[case]] if case in self.row_of else None

    def row(self, case: str, image: str) -> np.ndarray | None:
        """A case's row (D,); None where there is none of that image, or one with NaN or infinity."""
        if self.made_of(case) != image:
            return None
        row: np.ndarray = self.rows[self.row_of[case]]
        return row if np.isfinite(row).all() else None


class GrowingRows:
    """A file of rows whose number is not known before, for as long as they are chosen from; to be used by `with`."""

    def __init__(self, path: Path):
        self._path, self._count, self._width = path, 0, 0

    def __enter__(self) -> GrowingRows:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(self._path, "wb")
        return self

    def __exit__(self, *fault: object) -> None:
        self._stream.close()

    def add(self, rows: np.ndarray) -> None:
        """Append rows, (n, D), n at least 1.

        Raises:
            UserError: E320, the disk is full or fails.
        """
        with telling_full_disk(self._path):
            self._stream.write(np.ascontiguousarray(rows, np.float32).tobytes())
        self._count, self._width = self._count + len(rows), rows.shape[1]

    def mapped(self) -> np.ndarray:
        """All of them, (N, D), mapped into memory."""
        with telling_full_disk(self._path):
            self._stream.flush()
        return np.memmap(self._path, np.float32, "r", shape=(self._count, self._width))


def fingerprint(image: Path) -> str:
    """Size and digest of a file's bytes, wherever it lies; nothing where there is no such file."""
    if not image.is_file():
        return ""
    with open(image, "rb") as stream:
        content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
    return f"{image.stat().st_size} {content.hexdigest()}"


def read_rows(path: Path, facts: Mapping[str, str], cases: Sequence[str]) -> np.ndarray:
    """Rows (N, D) of cases in their order; mapped into memory where the file has them one after another.

    Raises:
        UserError: E511, the file was made by something else or lacks a case; E512, it is no such file.
    """
    stored = stored_rows(path, facts)
    if absent := [case for case in cases if case not in stored.row_of]:
        cause = f"{path} does not belong here: it lacks {len(absent)} of {len(cases)} cases"
        raise UserError("E511", cause, AGAIN, case=absent[0])
    wanted = [stored.row_of[case] for case in cases]
    if wanted and wanted == list(range(wanted[0], wanted[0] + len(wanted))):
        return stored.rows[wanted[0] : wanted[0] + len(wanted)]
    return np.asarray(stored.rows[wanted])


def stored_rows(path: Path, facts: Mapping[str, str]) -> StoredRows:
    """The rows of a file.

    Raises:
        UserError: E511, the file was made by something else; E512, it is no such file.
    """
    try:
        with h5py.File(path, "r") as file:
            made_by = {name: str(value) for name, value in file.attrs.items()}
            ids, images = ([str(name) for name in file[names].asstr()[:]] for names in (IDS, IMAGES))
            shape, place, kind = file[ROWS].shape, file[ROWS].id.get_offset(), file[ROWS].dtype
    except (OSError, KeyError, TypeError, AttributeError) as fault:
        raise UserError("E512", f"{path} is no file of features: {fault}", AGAIN) from fault
    if kind != np.float32 or place is None or len(shape) != 2 or not len(ids) == len(images) <= shape[0]:
        raise UserError("E512", f"{path} is no file of features: its rows are stored otherwise", AGAIN)
    for name, value in facts.items():
        if made_by.get(name) != value:
            cause = f"{path} does not belong here: its {name} is {made_by.get(name)}, that of these cases {value}"
            raise UserError("E511", cause, AGAIN)
    row_of = {name: number for number, name in enumerate(ids)}
    return StoredRows(row_of, images, np.memmap(path, np.float32, "r", place, shape))
