"""What is found in each case of a source before anything is written: sizes, codes, fit of image and label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mednoisy.data.image_pairs import pair_notes
from mednoisy.data.images import check_image, digest_of, distinct_values
from mednoisy.errors import REFUSED, UserError
from mednoisy.files import write_text
from mednoisy.text_files import Unusable, read_json

from .case_work import in_processes
from .own_labels import LabelReading, apart, files_of, on_grid, pictured, read_channels, read_codes
from .own_sources import SourceCase

RECORD = ".surveyed.json"  # in the prepared folder: what was found in each case, so that a second run need not look
REVISION = 1  # raise it when the same files give other findings
AS_JSON = {"tuple": list, "int": int, "bool": bool, "float": int | float, "str": str}  # types of findings there
CODES_AT_MOST = 256  # in one label; more are no classes


@dataclass(frozen=True)
class Findings:
    """What a case holds.

    Attributes:
        shape, spacing: of its image.
        channels: how many.
        picture: whether it is one of rows and columns.
        located: whether its image's file says how large its voxels are.
        digest: 16 hexadecimal digits of the image's values.
        codes: of its label, as the source has them (white as 1); none without label.
        apart: how far the label lies beside the image, in voxels.
        misfit: why the label cannot be put on the image's grid; empty where it can.
        notes: texts that follow the case's id.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    channels: int
    picture: bool
    located: bool
    digest: str
    codes: tuple[int, ...] = ()
    apart: float = 0.0
    misfit: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """A case to look at, and how."""

    case: SourceCase
    reading: LabelReading
    match: bool

    def stamp(self) -> str:
        """16 hexadecimal digits that change with the files (size and time) and with how they are read."""
        files = [Path(path).stat() for path in files_of((*self.case.images, *self.case.labels))]
        facts = [REVISION, asdict(self), [(file.st_size, file.st_mtime_ns) for file in files]]
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def survey(looks: Sequence[Look], out: Path, workers: int) -> tuple[dict[str, Findings], list[UserError]]:
    """Findings by case, and the faults of those that cannot be read. What an earlier call found is kept.

    Raises:
        UserError: E320, a full disk; E380, a process was killed.
    """
    known = _read(out / RECORD)
    stamps: dict[str, str] = {}
    faults: dict[str, UserError] = {}
    for look in looks:
        try:
            stamps[look.case.id] = look.stamp()
        except FileNotFoundError as error:
            cause = f"{error.filename} does not exist"
            faults[look.case.id] = UserError(
                "E367", cause, "Restore the file, or take the case away", case=look.case.id
            )
    todo = [look for look in looks if known.get(look.case.id, {}).get("stamp") != stamps.get(look.case.id)]
    todo = [look for look in todo if look.case.id in stamps]
    results = in_processes(_looked, todo, workers)
    try:
        for case, found in tqdm(results, total=len(todo), desc="look", unit="case", disable=None):
            if isinstance(found, UserError):
                faults[case] = found
                continue
            known[case] = {"stamp": stamps[case], "found": asdict(found)}
    finally:  # whatever stopped it, it goes on from here
        if todo and len(known):
            write_text(out / RECORD, json.dumps(known, sort_keys=True) + "\n")
    cases = [look.case.id for look in looks if look.case.id not in faults]
    return {case: _findings(known[case]["found"]) for case in cases}, [faults[case] for case in sorted(faults)]


def _read(path: Path) -> dict[str, Any]:
    """What was found before, by case; what another program damaged is left out, and found anew."""
    try:
        record = read_json(path) if path.is_file() else {}
    except Unusable:
        return {}
    entries = record.items() if isinstance(record, dict) else ()
    return {case: entry for case, entry in entries if isinstance(entry, dict) and _complete(entry.get("found"))}


def _complete(stored: Any) -> bool:
    """Whether they are findings as JSON has them, each of its type."""
    kinds = {field.name: AS_JSON[str(field.type).partition("[")[0]] for field in fields(Findings)}
    return (
        isinstance(stored, dict)
        and stored.keys() == kinds.keys()
        and all(isinstance(stored[name], kind) for name, kind in kinds.items())
    )


def _findings(stored: Mapping[str, Any]) -> Findings:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return Findings(**values)


def _looked(look: Look) -> tuple[str, Findings | UserError]:
    """The case's id, and what it holds or why it cannot be read."""
    try:
        return look.case.id, _found(look)
    except UserError as fault:
        if fault.exit_code != REFUSED:
            raise
        return look.case.id, fault


def _found(look: Look) -> Findings:
    case = look.case
    image = read_channels(case.images, case.id)
    check_image(image, case=case.id)
    found = Findings(
        shape=image.shape,
        spacing=image.spacing,
        channels=image.array.shape[-1] if image.array.ndim > len(image.shape) else 1,
        picture=pictured(case.images),
        located=image.located,
        digest=digest_of(image.array),
        notes=tuple(f"image {note}" for note in image.notes),
    )
    if not case.labels:
        return found
    label, notes = read_codes(case.labels, look.reading, case.id)
    codes = distinct_values(label.array)
    if len(codes) > CODES_AT_MOST:
        cause = f"its label holds {len(codes)} codes: is it an image?"
        raise UserError("E257", cause, "Give label maps as --labels", case=case.id)
    texts = [*(f"label {note}" for note in notes), *(f"image and label {note}" for note in pair_notes(image, label))]
    fitted, gap = on_grid(image, label, match=look.match), apart(image, label)
    if isinstance(gap, str) and not isinstance(fitted, str):
        texts.append("label resampled onto its image's grid")
    return replace(
        found,
        codes=tuple(codes.tolist()),
        apart=0.0 if isinstance(gap, str) else gap,
        misfit=fitted if isinstance(fitted, str) else "",
        notes=(*found.notes, *texts),
    )
