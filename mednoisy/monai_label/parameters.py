"""What clients tell beside a file: objects that every reader of JSON takes, and names that every folder takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mednoisy.data.datalist_checks import LONGEST_ID
from mednoisy.errors import UserError

CURE = 'Send params={"...": ...}'
SHOWN = 60  # characters of a name that is too long


def parsed(text: str) -> dict[str, Any]:
    """The object that a text is.

    Raises:
        UserError: E585, it is no JSON, or as `checked`.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as fault:  # numbers of thousands of digits, brackets in brackets
        raise UserError("E585", f"the parameters are no JSON: {fault}", CURE) from fault
    return checked(content)


def checked(content: object) -> dict[str, Any]:
    """An object that can be kept beside a study, and told to others.

    Python reads NaN, infinity and halves of characters, which others do not: kept once, they would end every answer
    that lists the studies.

    Raises:
        UserError: E585, it is no object, or holds these.
    """
    if not isinstance(content, Mapping):
        raise UserError("E585", "what is told beside the file is no JSON object", CURE)
    try:
        json.dumps(content, allow_nan=False, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as fault:
        raise UserError("E585", f"the parameters hold what is no JSON: {fault}", CURE) from fault
    return dict(content)


def check_whole_numbers(content: Mapping[str, Any], *names: str) -> None:
    """Refuse other than whole numbers from 0 on under some names, where these are given (E585)."""
    for name in names:
        value = content.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UserError("E585", f"{name} is {value!r}, no whole number from 0 on", f"Leave {name} out")


def check_file_name(name: str | None) -> None:
    """Refuse the name of an upload under which no folder could keep it (E572)."""
    last = re.split(r"[/\\]", name or "")[-1]
    if last in (".", "..") or not last.isprintable() or len(last.encode(errors="replace")) > LONGEST_ID:
        raise UserError(
            "E572", f"{last[:SHOWN]!r} is no name of a file", "Send it under a plain name, such as a.nii.gz"
        )
