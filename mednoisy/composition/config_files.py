"""Overlays, files of entries that replace a bundle's: read once before MONAI does, to tell what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mednoisy.errors import UserError, did_you_mean

SUFFIXES = (".yaml", ".yml", ".json")  # that MONAI reads
SEPARATOR = re.compile("#|::")  # between the parts of an id


def read_overlay(path: Path) -> dict[str, Any]:
    """The entries of an overlay, or of another file of a configuration, as they stand there.

    Raises:
        UserError: E108, the file is no table in YAML or JSON.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise _unusable(path, "its name does not end in .yaml, .yml or .json")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise _unusable(path, str(fault)) from fault
    if not isinstance(content, dict):
        raise _unusable(path, "it holds no entries (`id: value`)")
    if odd := [key for key in content if not isinstance(key, str)]:
        raise _unusable(path, f"{odd[0]!r} is no name of an entry")
    return content


def check_entries(path: Path, bundle: Path) -> None:
    """Refuse an overlay of data whose entries would change nothing: those that neither bundle nor overlay refer to.

    Args:
        path: of the overlay.
        bundle: `train.yaml` of the bundle that it stands on.

    Raises:
        UserError: E103, with the nearest name; E108, see `read_overlay`.
    """
    entries, known = read_overlay(path), read_overlay(bundle)
    text = path.read_text(encoding="utf-8")
    for key in entries:
        name = key.removeprefix("+")
        options = _unknown_among(name, known)
        if options is not None and not re.search(rf"[@%]{re.escape(name)}(?!\w)", text):
            cause = f"{path} sets {name!r}, which the configuration does not have"
            raise UserError("E103", cause, did_you_mean(name, options))


def _unknown_among(name: str, config: Mapping[str, Any]) -> list[str] | None:
    """Ids that could be meant where a config has no entry of this name; None where it has one, or may be given one."""
    *parents, _ = parts = SEPARATOR.split(name)
    found: Any = config
    for depth, part in enumerate(parts):
        options = dict(enumerate(found)) if isinstance(found, list) else found
        named = {str(key): value for key, value in options.items()} if isinstance(options, Mapping) else {}
        if part not in named:
            is_argument = depth == len(parents) and "_target_" in named  # of a component: it takes others as well
            return None if is_argument else ["#".join([*parts[:depth], option]) for option in named]
        found = named[part]
    return None


def _unusable(path: Path, why: str) -> UserError:
    return UserError("E108", f"{path} is no configuration: {why}", "Correct the file")
