"""Arrays by case id, appended as they are computed: what a process had when it was killed is still there."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from mednoisy.files import telling_full_disk

SUFFIX = ".rows"
HEAD = struct.Struct("<I16sQ")  # of a record: bytes of its words, digest of all that follows, bytes of its arrays
Rows = Mapping[str, np.ndarray]


class JournalWriter:
    """A new file of a journal, made when the first case comes; closed by `with`.

    Several processes may write into one folder, each a file of its own. A later file has a later name.

    Args:
        folder: of the journal, made if need be.
        facts: by what rows are made, such as the digest of a network.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str]):
        self._folder, self._facts = folder, facts
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, case: str, made_of: str, rows: Rows) -> None:
        """Keep what was computed of a case; from here on a kill does not lose it.

        Args:
            made_of: fingerprint of the files that it was computed from.

        Raises:
            UserError: E320, the disk is full or fails.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in rows.items()}
        parts = [(name, array.dtype.str, list(np.shape(rows[name]))) for name, array in arrays.items()]
        words = json.dumps({"case": case, "made_of": made_of, "arrays": parts}).encode()
        content = b"".join(array.tobytes() for array in arrays.values())
        with telling_full_disk(self._folder):
            stream = self._stream = self._stream or _opened(self._folder, self._facts)
            stream.write(HEAD.pack(len(words), _digest(words, content), len(content)) + words + content)
            stream.flush()


@dataclass(frozen=True)
class _Record:
    made_of: str
    file: int
    place: int


class Journal:
    """What the files of a folder hold; of a case, what was written last.

    A record that is torn, or whose bytes have changed, ends its file: that and what follows is not known. A file of
    other facts holds nothing.

    Args:
        folder: may be absent.
        facts: that the rows must have been made by.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str]):
        self._files = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if _facts(path) == dict(facts)]
        self._records: dict[str, _Record] = {}
        for number, path in enumerate(self._files):
            for place, words, _ in _read(path):
                self._records[words["case"]] = _Record(words["made_of"], number, place)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, case: str) -> bool:
        return case in self._records

    def made_of(self, case: str) -> str | None:
        """The fingerprint that came with a case; None where there is no such case."""
        return self._records[case].made_of if case in self._records else None

    def rows(self, case: str) -> dict[str, np.ndarray]:
        """What was computed of a case that is there."""
        record = self._records[case]
        _, words, content = next(_read(self._files[record.file], record.place))
        rows, start = {}, 0
        for name, kind, shape in words["arrays"]:
            array = np.frombuffer(content, kind, int(np.prod(shape)), start).reshape(shape)
            rows[name], start = array, start + array.nbytes
        return rows


def _opened(folder: Path, facts: Mapping[str, str]) -> IO[bytes]:
    """A file that was not there, with its facts in the first line."""
    folder.mkdir(parents=True, exist_ok=True)
    last = max((int(path.stem) for path in folder.glob(f"*{SUFFIX}")), default=-1)
    for number in itertools.count(last + 1):
        try:
            stream = open(folder / f"{number:06d}{SUFFIX}", "xb")  # noqa: SIM115, closed by the writer
        except FileExistsError:
            continue
        stream.write(json.dumps(dict(facts)).encode() + b"\n")
        return stream
    raise AssertionError("numbers do not end")


def _facts(path: Path) -> dict[str, str] | None:
    """Those of a file; None where its first line has none."""
    with open(path, "rb") as stream:
        try:
            facts = json.loads(stream.readline())
        except ValueError:
            return None
    return facts if isinstance(facts, dict) else None


def _read(path: Path, place: int | None = None) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """Place, words and arrays of each whole record of a file, from the first or from a place on."""
    whole = path.stat().st_size
    with open(path, "rb") as stream:
        if place is None:
            stream.readline()
        else:
            stream.seek(place)
        while True:
            place = stream.tell()
            head = stream.read(HEAD.size)
            if len(head) < HEAD.size:
                return
            size, digest, length = HEAD.unpack(head)
            if size + length > whole - stream.tell():
                return
            words, content = stream.read(size), stream.read(length)
            if _digest(words, content) != digest:
                return
            yield place, json.loads(words), content


def _digest(words: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=hashlib.blake2b(words, digest_size=16).digest()).digest()
