"""Values of a JSON file as the types that they should have; what has another is refused by name."""

from __future__ import annotations

from typing import Any


def table(value: Any, name: str) -> dict[str, Any]:
    """The value as a table.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no table")
    return value


def array(value: Any, name: str) -> list[Any]:
    """The value as a list.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    return value


def text(value: Any, name: str) -> str:
    """The value as a text.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def count(value: Any, name: str) -> int:
    """The value as a whole number from 0 on.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is no whole number from 0 on")
    return value


def number_or_none(value: Any, name: str) -> float | None:
    """The value as a number; null stays None.

    Raises:
        ValueError: it is neither.
    """
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name} is no number")
    return float(value)


def range_or_none(value: Any, name: str) -> tuple[float, float] | None:
    """The value as two numbers, from and to; null stays None.

    Raises:
        ValueError: it is neither.
    """
    if value is None:
        return None
    ends = [number_or_none(end, name) for end in array(value, name)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise ValueError(f"{name} is no pair of numbers")
    return ends[0], ends[1]
