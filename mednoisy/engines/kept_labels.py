"""Whether a run that goes on still learns from the labels with which it began."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mednoisy.engines.disk_full import writing
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.text_files import read_json

FILE = "labels.json"


def check_labels(folder: Path, cases: Iterable[Mapping[str, Any]]) -> None:
    """Compare the labels that a run learns from with those noted in its folder; note them, where none are.

    What is compared is what training sees: codes on the grid of the preprocessed image, so that a file which is merely
    packed anew is the same.

    Args:
        folder: of the run, locked.
        cases: preprocessed, `{"id": str, "label": (*spatial) uint8 on the CPU}`.

    Raises:
        UserError: E381, a label has changed since the run began, or a case has come or gone; E319, the file is damaged;
            E320, the disk is full.
    """
    path = folder / FILE
    now = {case["id"]: _digest(case["label"]) for case in cases}
    if not path.is_file():
        with writing(path):
            write_text(path, json.dumps(now, indent=1, ensure_ascii=False) + "\n")
        return
    try:
        before = dict(read_json(path))
    except (ValueError, TypeError) as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Restore it, or give another --output") from fault
    changed = [case for case in {**before, **now} if before.get(case) != now.get(case)]
    if changed:
        others = f" (so have {len(changed) - 1} others)" if len(changed) > 1 else ""
        cause = f"its label has changed since the run in {folder} began{others}"
        cure = "Restore the label and resume, or train anew into another --output"
        raise UserError("E381", cause, cure, case=changed[0])


def _digest(label: Any) -> str:
    """16 hexadecimal digits of shape and codes."""
    array = label.numpy()
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=8)
    digest.update(array)
    return digest.hexdigest()
