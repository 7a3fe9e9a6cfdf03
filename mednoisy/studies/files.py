"""Studies, simulations and their rows in YAML files, so that a table can be made again by naming one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from mednoisy.errors import UserError, did_you_mean
from mednoisy.studies.rows import Row
from mednoisy.text_files import Unusable, read_yaml


def read_study(path: Path) -> dict[str, Any]:
    """What a file says of a study, as arguments of `Study`: all but data and output.

    Raises:
        UserError: E355, with what is wrong in the file; E102, a row that is a text cannot be read.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise _unusable(path, "it is no table of entries")
    study = _checked(content, STUDY, ("bundle", "rows", "labeled", "steps"), path, "")
    arguments = {"seeds": [0], **study}
    arguments["methods"] = _rows(arguments.pop("rows"), path)
    if "dataset" in arguments:
        arguments["dataset"] = Path(arguments["dataset"])
    return arguments


def read_simulation(path: Path) -> dict[str, Any]:
    """What a file says of a simulation, as arguments of `Simulation`: all but data and output.

    Raises:
        UserError: as `read_study`.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise _unusable(path, "it is no table of entries", SIMULATION_CURE)
    needed = ("bundle", "methods", "strategies", "rounds", "steps")
    arguments = {"seeds": [0], "start": 1, "budget": 1, **_checked(content, SIMULATION, needed, path, "")}
    arguments["methods"] = _rows(arguments["methods"], path)
    if any(row.labeled or row.seeds or row.starts for row in arguments["methods"]):
        raise _unusable(path, "a method has labeled, seeds or starts of its own", SIMULATION_CURE)
    return arguments | {name: Path(arguments[name]) for name in ("dataset", "start_run") if name in arguments}


def read_rows(path: Path) -> list[Row]:
    """The rows that a file lists.

    Raises:
        UserError: as `read_study`.
    """
    content = _read(path)
    if not _is_list(content):
        raise _unusable(path, "it is no list of rows")
    return _rows(content, path)


def _rows(entries: Sequence[Any], path: Path) -> list[Row]:
    rows = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            rows.append(Row.parse(entry))
        elif isinstance(entry, dict):
            rows.append(Row(**_checked(entry, ROW, ("method",), path, f"row {number}: ")))
        else:
            raise _unusable(path, f"row {number} is {entry!r}, neither a text nor a table")
    return rows


def _read(path: Path) -> Any:
    try:
        return read_yaml(path)
    except Unusable as fault:
        raise _unusable(path, str(fault)) from fault


def _checked(
    content: Mapping[Any, Any], kinds: Mapping[str, Kind], needed: Sequence[str], path: Path, where: str
) -> dict[str, Any]:
    """The entries, each of the kind that it has to be."""
    for key, value in content.items():
        if key not in kinds:
            raise _unusable(path, f"{where}unknown entry {key!r}", did_you_mean(str(key), list(kinds)))
        fits, wanted = kinds[key]
        if not fits(value):
            raise _unusable(path, f"{where}{key} is {value!r}; it must be {wanted}")
    if missing := [key for key in needed if key not in content]:
        raise _unusable(path, f"{where}{' and '.join(missing)} missing")
    return dict(content)


def _unusable(path: Path, why: str, cure: str = "Correct the file, see docs/how_to/run_a_study.md") -> UserError:
    return UserError("E355", f"{path} cannot be used: {why}", cure)


SIMULATION_CURE = "Correct the file, see docs/how_to/simulate_annotation.md"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and bool(value)


def _is_texts(value: Any) -> bool:
    return _is_list(value) and all(map(_is_text, value))


def _is_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _whole_from(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def _whole_numbers_from(least: int) -> Callable[[Any], bool]:
    return lambda value: _is_list(value) and all(map(_whole_from(least), value))


Kind = tuple[Callable[[Any], bool], str]  # what a value has to pass, and how that is told
TEXT: Kind = _is_text, "a text"
SETTINGS: Kind = _is_settings, "a table of entries of the configuration"
LABELED: Kind = _whole_numbers_from(1), "a list of whole numbers from 1 on"
SEEDS: Kind = _whole_numbers_from(0), "a list of whole numbers from 0 on"
STARTS: Kind = _is_texts, "a list of starts"
COUNT: Kind = _whole_from(1), "a whole number from 1 on"
NUMBER: Kind = _whole_from(0), "a whole number from 0 on"
ROW: dict[str, Kind] = {
    **dict.fromkeys(("method", "recipe", "name"), TEXT),
    **{"settings": SETTINGS, "labeled": LABELED, "seeds": SEEDS, "starts": STARTS},
}
STUDY: dict[str, Kind] = {
    **dict.fromkeys(("bundle", "dataset"), TEXT),
    **{"rows": (_is_list, "a list of rows"), "labeled": LABELED, "seeds": SEEDS, "starts": STARTS},
    **{"steps": COUNT, "validation": NUMBER, "settings": SETTINGS, "threads": COUNT, "folds": COUNT},
    "pretext_steps": COUNT,
}
SIMULATION: dict[str, Kind] = {
    **dict.fromkeys(("bundle", "dataset", "start_strategy", "start_run", "pooling"), TEXT),
    **{"methods": (_is_list, "a list of rows"), "settings": SETTINGS, "seeds": SEEDS},
    "strategies": (_is_texts, "a list of strategies"),
    **dict.fromkeys(("start", "budget", "rounds", "steps", "threads"), COUNT),
}
