"""Rows of numbers by case id in an HDF5 file, with what they were made by; written and read without holding all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mednoisy.errors import UserError
from mednoisy.files import telling_full_disk, written_aside

ROWS, IDS = "rows", "ids"
AGAIN = "Take the file away, and let mednoisy query make its own"


class RowsWriter:
    """Takes rows of one length, one case at a time; the first tells the length."""

    def __init__(self, file: h5py.File, count: int):
        self._file, self._count, self.ids = file, count, list[str]()

    def add(self, case: str, row: np.ndarray) -> None:
        """Keep a case's row, (D,)."""
        if ROWS not in self._file:  # contiguous, so that it can be mapped into memory
            self._file.create_dataset(ROWS, (self._count, len(row)), np.float32)
        self._file[ROWS][len(self.ids)] = np.asarray(row, np.float32)
        self.ids.append(case)


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
        file.create_dataset(IDS, data=writer.ids, dtype=h5py.string_dtype())
        for name, value in facts.items():
            file.attrs[name] = value


def read_rows(path: Path, facts: Mapping[str, str], cases: Sequence[str]) -> np.ndarray:
    """Rows (N, D) of cases in their order; mapped into memory where the file has them one after another.

    Raises:
        UserError: E511, the file was made by something else or lacks a case; E512, it is no such file.
    """
    row_of, rows = stored_rows(path, facts)
    if absent := [case for case in cases if case not in row_of]:
        cause = f"{path} does not belong here: it lacks {len(absent)} of {len(cases)} cases"
        raise UserError("E511", cause, AGAIN, case=absent[0])
    wanted = [row_of[case] for case in cases]
    if wanted and wanted == list(range(wanted[0], wanted[0] + len(wanted))):
        return rows[wanted[0] : wanted[0] + len(wanted)]
    return np.asarray(rows[wanted])


def stored_rows(path: Path, facts: Mapping[str, str]) -> tuple[dict[str, int], np.ndarray]:
    """The row of each case of a file, and the rows, mapped into memory.

    Raises:
        UserError: E511, the file was made by something else; E512, it is no such file.
    """
    try:
        with h5py.File(path, "r") as file:
            made_by = {name: str(value) for name, value in file.attrs.items()}
            ids = [str(name) for name in file[IDS].asstr()[:]]
            shape, place, kind = file[ROWS].shape, file[ROWS].id.get_offset(), file[ROWS].dtype
    except (OSError, KeyError, TypeError, AttributeError) as fault:
        raise UserError("E512", f"{path} is no file of features: {fault}", AGAIN) from fault
    if kind != np.float32 or place is None or len(shape) != 2:
        raise UserError("E512", f"{path} is no file of features: its rows are stored otherwise", AGAIN)
    for name, value in facts.items():
        if made_by.get(name) != value:
            cause = f"{path} does not belong here: its {name} is {made_by.get(name)}, that of these cases {value}"
            raise UserError("E511", cause, AGAIN)
    return {name: number for number, name in enumerate(ids)}, np.memmap(path, np.float32, "r", place, shape)
