"""Tables of cases as spreadsheets write them: any usual separator, encoding and heading."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from pathlib import Path

from mednoisy.data.images import case_name
from mednoisy.errors import UserError
from mednoisy.notices import tell

IDS = ("id", "case", "case_id", "caseid", "image", "image_id", "name", "filename", "file", "fall", "bild")
CENTRES = ("centre", "center", "centre_id", "center_id", "site", "hospital", "institution", "zentrum", "standort")
SCENES = ("scene", "sequence", "scene_id", "sequence_id", "video")
SEPARATORS = ",;\t|"
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def origins_of(path: Path) -> dict[str, tuple[str | None, str | None]]:
    """Centre and scene of each case that names one, by id; nothing where there is no such file, or no such column.

    That a table has no column of centres is told. Scenes are numbered by centre, so theirs is part of their name.
    A byte order mark, UTF-16, the Western European encoding of Windows, semicolons and tabs, usual headings in any
    case of letters, and ids with a picture's suffix are understood.

    Raises:
        UserError: E243, the table cannot be read, has centres but no column of ids, or has a case twice with different
            ones.
    """
    if not path.is_file():
        return {}
    rows = _rows(path)
    heading = [name.strip().lower().replace(" ", "_").replace("-", "_") for name in rows[0]] if rows else []
    of_id, of_centre, of_scene = (
        next((heading.index(name) for name in names if name in heading), None) for names in (IDS, CENTRES, SCENES)
    )
    columns = ", ".join(rows[0]) if rows else "(none)"
    if of_centre is None:
        tell(f"note: {path} has no column of centres, call it `centre` if there is one; its columns are {columns}")
    if of_centre is None and of_scene is None:
        return {}
    if of_id is None:
        raise UserError("E243", f"{path} has the columns {columns}", "Call the column of case ids `id`")
    origins: dict[str, tuple[str | None, str | None]] = {}
    for row in rows[1:]:
        centre, scene = _cell(row, of_centre), _cell(row, of_scene)
        name = _cell(row, of_id)
        if name is None or (centre is None and scene is None):
            continue
        origin = centre, None if scene is None else "_".join(part for part in (centre, scene) if part)
        if origins.setdefault(case_name(name), origin) != origin:
            before, now = (" ".join(part for part in each if part) for each in (origins[case_name(name)], origin))
            cause = f"{path} has the case twice, in {before} and in {now}"
            raise UserError("E243", cause, "Keep one of the two lines", case=case_name(name))
    return origins


def _cell(row: Sequence[str], column: int | None) -> str | None:
    """What a row holds there; None for nothing."""
    return (row[column].strip() or None) if column is not None and column < len(row) else None


def _rows(path: Path) -> Sequence[list[str]]:
    """The lines that hold anything, split at the separator that the heading has most of."""
    payload = path.read_bytes()
    wide = next((name for mark, name in WIDE.items() if payload.startswith(mark)), None)
    try:
        text = payload.decode(wide or "utf-8-sig")
    except UnicodeDecodeError:
        text = payload.decode("cp1252", "replace")
    heading = text.lstrip().split("\n")[0]
    separator = max(SEPARATORS, key=heading.count)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=separator))
    except csv.Error as fault:  # a cell of over 131,072 letters: a quote that is never closed, or no table at all
        raise UserError("E243", f"{path} cannot be read: {fault}", "Save the table as CSV again") from fault
    return [row for row in rows if any(cell.strip() for cell in row)]
