"""What the pretexts of a run were shown and made of it, as pictures for a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mednoisy.report.reading.rounds import damaged
from mednoisy.text_files import Unusable, read_json

PATTERN = "pretext/*/examples.json"  # below a run's folder


@dataclass(frozen=True)
class ShownExample:
    """A crop of a case.

    Attributes:
        case: its id.
        pictures: name ("original", "corrupted" ...) to a `data:` address.
    """

    case: str
    pictures: dict[str, str]


def read_examples(folder: Path) -> dict[str, list[ShownExample]]:
    """Examples by stage; none of a run without a finished pretext.

    Raises:
        UserError: E404, a list is damaged, or a picture is gone.
    """
    return {path.parent.name: _read(path) for path in sorted(folder.glob(PATTERN))}


def _read(path: Path) -> list[ShownExample]:
    try:
        content: Any = read_json(path)
        return [
            ShownExample(
                str(entry["case"]),
                {str(name): _address(path.parent / Path(str(file)).name) for name, file in entry["pictures"].items()},
            )
            for entry in content["examples"]
        ]
    except Unusable as fault:
        raise damaged(path, str(fault)) from fault
    except (KeyError, TypeError, AttributeError, OSError) as fault:
        raise damaged(path, f"{type(fault).__name__} {fault}") from fault


def _address(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
