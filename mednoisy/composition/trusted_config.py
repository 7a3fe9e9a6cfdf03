"""Whether the configuration of a run folder is data alone: what building its networks and scoring it could do.

A configuration is a program: MONAI evaluates its `$` expressions and calls its `_target_`s. A run folder may come from
anywhere, so what it holds is compared, before MONAI reads it, with what the installed bundles say themselves.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mednoisy.composition.catalogue import PAGE, bundles_folder
from mednoisy.composition.config_files import REFERENCE, Config, read_config
from mednoisy.errors import UserError

ALLOWED = "trusted_components.yaml"
MACRO = re.compile(r"%[\w#:]+")  # an entry of the same configuration, not of another file
DEVICE = re.compile(r"\$torch\.device\((['\"])(cpu|cuda|mps)(:\d+)?\1\)")
MODES = ("default", "callable")  # not MONAI's `debug`, which opens a debugger
ARITHMETIC = (
    *(ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Name, ast.Load, ast.Store, ast.Starred),
    *(ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.ListComp, ast.comprehension, ast.Call),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
FUNCTIONS = {"range", "len", "min", "max", "sum", "round", "int", "float", "list"}


def check_trusted(config: Config, source: Path) -> None:
    """Refuse a run's configuration that says more than data, arithmetic and what the installed bundles say.

    It may hold plain values, references within itself, arithmetic of them, the expressions that stand in the installed
    bundles, to the letter, and the components of `trusted_components.yaml`. Nothing is evaluated or imported here.

    Args:
        config: as it stands in its file.
        source: that file, for the message.

    Raises:
        UserError: E390, naming the entry.
    """
    if config.get("trust_teacher"):
        raise _refusal(source, "trust_teacher", "takes another run's configuration as trusted")
    if not isinstance(config.get("_meta_"), dict):  # else MONAI would look for metadata in other files
        raise _refusal(source, "_meta_", "is missing")
    for place, why in _faults(config, ""):
        raise _refusal(source, place, why)


def _refusal(source: Path, place: str, why: str) -> UserError:
    cause = f"{source} may do more than describe a run: its entry {place!r} {why}"
    return UserError("E390", cause, "Add --trust if you know who made it and would run its program")


def _faults(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Place and fault of each part of a value that is more than data."""
    if isinstance(value, Mapping):
        yield from _of_table(value, place)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _faults(part, f"{place}#{number}")
    elif isinstance(value, str):
        if value.startswith("%") and not MACRO.fullmatch(value):
            yield place, f"reads another file: {_short(value)}"
        if value.startswith("$") and not is_known_expression(value):
            yield place, f"holds an expression of its own: {_short(value)}"


def _of_table(table: Mapping[Any, Any], place: str) -> Iterator[tuple[str, str]]:
    parts = dict(table)
    if "_target_" in table:
        target = table["_target_"]
        if table.get("_mode_", "default") not in MODES:
            yield place, f"has the mode {table['_mode_']!r}"
        if not isinstance(target, str):
            yield place, "names no component by a text"
        elif not _known().component.fullmatch(target):
            if _closed(table) not in _known().as_they_stand:
                yield place, f"calls {_short(target)}"
            parts = {name: part for name, part in table.items() if name in _known().open_arguments}
    for name, part in parts.items():
        if not isinstance(name, str | int):
            yield place, f"has a key {name!r}"
        elif isinstance(name, str) and (re.search("#|::", name) or name.startswith("+")):
            yield place, f"has a key that reaches elsewhere: {_short(name)}"
        yield from _faults(part, f"{place}#{name}".lstrip("#"))


def is_known_expression(text: str) -> bool:
    """Whether a `$` expression stands in the installed bundles, names a device, or only computes with numbers."""
    return (
        _with_one_separator(text) in _known().expressions
        or DEVICE.fullmatch(text) is not None
        or _is_arithmetic(text[1:])
    )


def _is_arithmetic(code: str) -> bool:
    """Whether an expression has nothing but numbers, references, operators, lists and a few functions of numbers.

    No texts: MONAI writes quotes where it puts references in, and a text could be cut open by these.
    """
    code = REFERENCE.sub("_reference", code)
    if not re.fullmatch(r"[\w\s.,()\[\]+\-*/%<>=!]*", code, re.ASCII):
        return False
    try:
        tree = ast.parse(code.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    nodes = list(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if own & (FUNCTIONS | {"_reference"}) or any(name.startswith("_") for name in own):
        return False
    for node in nodes:
        if not isinstance(node, ARITHMETIC):
            return False
        if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.keywords):
            return False
        if isinstance(node, ast.Name):
            allowed = FUNCTIONS if id(node) in called else own | {"_reference"}
            if isinstance(node.ctx, ast.Load) and node.id not in allowed:
                return False
    return True


@dataclass(frozen=True)
class _Known:
    """What the installed bundles say: expressions, and components with their arguments, as `_closed` gives them."""

    component: re.Pattern[str]
    open_arguments: frozenset[str]
    expressions: frozenset[str]
    as_they_stand: list[dict[Any, Any]]


@cache
def _known() -> _Known:
    folder = bundles_folder()
    allowed = read_config(folder / ALLOWED)
    pattern = "|".join(_pattern(name) for name in allowed["components"])
    open_arguments = frozenset(allowed["open_arguments"])
    expressions: set[str] = set()
    tables: list[dict[Any, Any]] = []
    overlays = [path for kind in ("kinds", "methods", "recipes", "run_modes") for path in folder.glob(f"{kind}/*.yaml")]
    for path in [folder / "frame.yaml", *overlays, *folder.glob(f"*/{PAGE}")]:
        for part in _parts(_with_one_separator(read_config(path))):
            if isinstance(part, str) and part.startswith("$"):
                expressions.add(part)
            elif isinstance(part, dict) and "_target_" in part:
                tables.append({name: value for name, value in part.items() if name not in open_arguments})
    return _Known(re.compile(pattern), open_arguments, frozenset(expressions), tables)


def _pattern(name: str) -> str:
    """Of a component's full name: a star is one name, not a path through what a module imports, and ends as a class."""
    escaped = re.escape(name)
    return re.sub(r"\\\*$", r"[A-Z]\\w*", escaped).replace(r"\*", r"\w+")


def _closed(table: Mapping[Any, Any]) -> dict[Any, Any]:
    """A component without the arguments that are looked into instead."""
    closed = {name: value for name, value in table.items() if name not in _known().open_arguments}
    return dict(_with_one_separator(closed))


def _with_one_separator(value: Any) -> Any:
    """A value with `::` between the parts of ids: MONAI puts it for `#` when it reads a configuration."""
    if isinstance(value, Mapping):
        return {name: _with_one_separator(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_one_separator(part) for part in value]
    return value.replace("#", "::") if isinstance(value, str) else value


def _parts(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    if isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _parts(part)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
