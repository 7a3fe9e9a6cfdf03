"""Errors that a value of the configuration caused, told as such."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from mednoisy.errors import UserError

CURE = "Correct it (--set ID=VALUE)"
OWN = str(Path(__file__).parents[1])
READERS = (str(Path("monai") / "bundle"), str(Path("monai", "utils", "module.py")))  # read configs, build components


def at_fault(fault: BaseException) -> UserError | None:
    """E107 where a value of the configuration led to `fault`; None where something else did.

    So it is where a component refuses an argument (ValueError, TypeError), where an expression fails in its own words
    or in a call that they make to another library, and where MONAI cannot read an entry.
    """
    chain = list(_chain(fault))
    first = chain[-1]
    component = re.match("Failed to instantiate component '([^']*)'", str(fault))
    if component and isinstance(first, ValueError):
        return _refused(str(first))
    if component and isinstance(first, TypeError):
        return _refused(f"{component[1]}: {first}")  # Python's own words name no entry
    steps = [origin for frame in traceback.extract_tb(first.__traceback__) if (origin := _origin(frame))]
    if not steps or steps[-1] == "own":
        return None
    if steps[-1] == "expression":
        written = re.search("ConfigExpression:\\s*(.*)", str(chain[-2]), re.S) if "own" not in steps else None
        return _refused(f"{_as_written(written[1])}: {first}" if written else str(first))
    readable = next((each for each in chain if not str(each).startswith("Failed to")), first)
    return _refused(str(readable.args[0] if readable.args else readable).rstrip("."))


def _refused(why: str) -> UserError:
    return UserError("E107", f"a value of the configuration is refused: {why}", CURE)


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """The fault and what caused it, the first cause last."""
    while fault is not None:
        yield fault
        fault = fault.__cause__


def _origin(frame: traceback.FrameSummary) -> str | None:
    """Whose a step towards an error was; None of other libraries."""
    if frame.filename == "<string>":
        return "expression"
    if any(reader in frame.filename for reader in READERS):
        return "reader"
    return "own" if frame.filename.startswith(OWN) else None


def _as_written(expression: str) -> str:
    """An expression as MONAI prints it, with its references as a config has them."""
    with_ids = re.sub(r"__local_refs\['([^']*)'\]", r"@\1", expression.strip("\"'"))
    return with_ids.replace("::", "#")
