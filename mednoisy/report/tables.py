"""Tables of figures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping], columns: Sequence[str] | Mapping[str, str]) -> str:
    """A table in Markdown, one line for each row, numbers to the right.

    Args:
        rows: values by column; a missing one or None becomes an en dash, a float gets three significant decimals.
        columns: names of entries in order, or a mapping from entry to the heading shown.

    Returns:
        Lines that end in a line break; vertical bars inside values are escaped.
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    numeric = {name: all(isinstance(row.get(name), int | float | None) for row in rows) for name in headings}
    lines = [
        [_escaped(heading) for heading in headings.values()],
        ["---:" if numeric[name] else "---" for name in headings],
        *([_escaped(_shown(row.get(name))) for name in headings] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: object) -> str:
    if value is None or value != value:  # NaN differs from itself
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
