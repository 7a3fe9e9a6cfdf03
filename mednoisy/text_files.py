"""JSON, YAML and tables of a file as plain values; every way in which a text can be no such thing is one exception."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEEPEST = 100  # levels, above which Python's own recursion would end whoever walks through it
TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
SHALLOW = 5_000  # levels; libyaml bears some twenty thousand
MOST = 1_000_000  # values, those that a YAML alias repeats counted as often as they stand there


class Unusable(ValueError):
    """A file that cannot be read, or holds no such thing; the text says why."""


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        Unusable: it cannot be read, is no JSON or no UTF-8, or is nested too deep.
    """
    return _read(path, json.loads)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; its aliases are followed.

    Raises:
        Unusable: it cannot be read, is no YAML or no UTF-8, is nested too deep, or its aliases lead into themselves or
            stand for more than `MOST` values.
    """
    import yaml  # which takes a while

    def parse(text: str) -> Any:
        fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast, where PyYAML has it
        return yaml.load(text, Loader=fast if _is_shallow(text) else yaml.SafeLoader)

    return _read(path, parse, yaml.YAMLError)


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a table with a heading, all of its columns in each.

    Raises:
        Unusable: it cannot be read, is no UTF-8, or a line has another number of cells than the heading.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as fault:
        raise Unusable(fault.strerror or str(fault)) from fault
    except (ValueError, csv.Error) as fault:
        raise Unusable(str(fault)) from fault
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise Unusable(f"line {number} has another number of cells than the heading")
    return rows


def _read(path: Path, parse: Callable[[str], Any], own: type[Exception] = ValueError) -> Any:
    try:
        content = parse(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise Unusable(fault.strerror or str(fault)) from fault
    except RecursionError as fault:
        raise Unusable(TOO_DEEP) from fault
    except (ValueError, LookupError, TypeError, AttributeError, own) as fault:  # the last ones: YAML's odd tags
        raise Unusable(str(fault) or type(fault).__name__) from fault
    _measure(content, (), {})
    return content


def _is_shallow(text: str) -> bool:
    """Whether a YAML text can be nested no deeper than libyaml bears, which ends the process where Python refuses.

    Each level has a bracket of its own or begins further to the right, but for a list within a table.
    """
    columns = max(map(len, text.splitlines()), default=0)
    return text.count("[") + text.count("{") + 2 * columns < SHALLOW


def _measure(value: Any, within: tuple[int, ...], measured: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values it stands for and how many levels it has; each shared part is looked at once."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not children:
        return 1, 0
    if id(value) in within:
        raise Unusable("an alias leads into itself")
    if len(within) >= DEEPEST:
        raise Unusable(TOO_DEEP)
    if id(value) not in measured:
        parts = [_measure(child, (*within, id(value)), measured) for child in children]
        measured[id(value)] = 1 + sum(count for count, _ in parts), 1 + max(levels for _, levels in parts)
    count, levels = measured[id(value)]
    if len(within) + levels > DEEPEST:
        raise Unusable(TOO_DEEP)
    if count > MOST:
        raise Unusable(f"its aliases stand for more than {MOST:,} values")
    return count, levels
