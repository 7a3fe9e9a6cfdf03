"""Files of a configuration read and merged as MONAI does, without MONAI, to tell early what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mednoisy.errors import UserError, did_you_mean
from mednoisy.text_files import Unusable, read_yaml

Config = dict[str, Any]
SUFFIXES = (".yaml", ".yml", ".json")  # that MONAI reads
SEPARATOR = re.compile("#|::")  # between the parts of an id
REFERENCE = re.compile(r"[@%](\w+(?:(?:#|::)\w+)*)")


def read_config(path: Path) -> Config:
    """The entries of a configuration's file, as they stand there.

    Raises:
        UserError: E108, the file is no table in YAML or JSON.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise _unusable(path, "its name does not end in .yaml, .yml or .json")
    try:
        content = read_yaml(path)  # JSON is YAML, too
    except Unusable as fault:
        raise _unusable(path, str(fault)) from fault
    if not isinstance(content, dict):
        raise _unusable(path, "it holds no entries (`id: value`)")
    if odd := [key for key in content if not isinstance(key, str)]:
        raise _unusable(path, f"{odd[0]!r} is no name of an entry")
    return content


def merge(below: Config, above: Mapping[str, Any], source: Path | str) -> None:
    """Lay entries over a configuration, in place, by MONAI's rules.

    `id: value` replaces an entry, `part#part: value` one within another, `+id: value` extends a list or a table.

    Args:
        below: is changed.
        above: entries as they stand in their file.
        source: that file, for messages.

    Raises:
        UserError: E103, an id leads through an entry that is not there; E108, `+` before an id of another kind.
    """
    for key, value in above.items():
        *parents, last = parts = SEPARATOR.split(key.removeprefix("+"))
        place: Any = below
        for depth, part in enumerate(parents):
            children = _children(place)
            if part not in children:
                options = ["#".join([*parts[:depth], name]) for name in children]
                cause = f"{source} sets {key!r}, which the configuration does not have"
                raise UserError("E103", cause, did_you_mean("#".join(parts[: depth + 1]), options))
            place = children[part]
        if not isinstance(place, dict | list) or (isinstance(place, list) and last not in _children(place)):
            cause = f"{source} sets {key!r}, which the configuration does not have"
            raise UserError("E103", cause, did_you_mean("#".join(parents), [str(name) for name in below]))
        before = _children(place).get(last)
        new = deepcopy(value)
        if key.startswith("+") and before is not None:
            if isinstance(before, list) and isinstance(new, list):
                new = before + new
            elif isinstance(before, dict) and isinstance(new, dict):
                new = before | new
            else:
                raise _unusable(Path(source), f"{key!r} extends neither a list by a list nor a table by a table")
        if isinstance(place, list):
            place[int(last)] = new
        else:
            place[last] = new


def entry(config: Config, key: str) -> Any:
    """What an id leads to.

    Raises:
        KeyError: nothing.
    """
    place: Any = config
    for part in SEPARATOR.split(key):
        place = _children(place)[part]
    return place


def siblings(config: Config, key: str) -> list[str] | None:
    """Ids that could be meant by one that leads to no entry; None where it leads to one."""
    place: Any = config
    parts = SEPARATOR.split(key)
    for depth, part in enumerate(parts):
        children = _children(place)
        if part not in children:
            return ["#".join([*parts[:depth], name]) for name in children]
        place = children[part]
    return None


def references(value: Any) -> set[str]:
    """Ids that texts within a value refer to by `@` or `%`, with `#` between their parts."""
    return {reference.replace("::", "#") for text in _texts(value) for reference in REFERENCE.findall(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _children(place: Any) -> dict[str, Any]:
    if isinstance(place, Mapping):
        return {str(name): value for name, value in place.items()}
    return {str(number): value for number, value in enumerate(place)} if isinstance(place, list) else {}


def _unusable(path: Path, why: str) -> UserError:
    return UserError("E108", f"{path} is no configuration: {why}", "Correct the file")
