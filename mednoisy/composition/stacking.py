"""A configuration from its parts: frame, kind of data, dataset, method, recipe, each held to what it may say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from mednoisy.composition.catalogue import PAGE, bundles_folder, find
from mednoisy.composition.config_files import SEPARATOR, Config, merge, read_config, references, siblings
from mednoisy.errors import UserError, did_you_mean

ENTRY_POINTS = ("train", "validate", "evaluation", "run_folder", "initialize", "run", "evaluate", "finalize")
BUILDS_A_NETWORK = re.compile(r"\$@\w+_def")
NAME_OF_RUN = re.compile("@[a-z]+_name")  # among a run's facts; the others only tell what has its use elsewhere
DATA = ("kind", "dataset")  # roles of the parts that say what the data are
PLACES = ("bundle_root", "dataset_dir", "output_dir", "model_file", "device", "imports")  # that MONAI's tools set


@dataclass(frozen=True)
class Part:
    """One file of a configuration: `frame`, `kind`, `dataset`, `method`, `recipe` or `run_mode`."""

    role: str
    path: Path

    @property
    def group(self) -> str:
        """Under which name `allowed_entries.yaml` lists what it may set."""
        return "data" if self.role in DATA else self.role


@dataclass(frozen=True)
class Stack:
    """The parts of a configuration, later over earlier.

    Raises:
        UserError: from `check` and `config`: E108, a part is no configuration; E103, it sets an entry that is not
            there, or that nothing refers to; E109, it sets what parts of its role may not.
    """

    parts: Sequence[Part]

    @cached_property
    def config(self) -> Config:
        """All entries, merged."""
        merged: Config = {}
        for part in self.parts:
            merge(merged, read_config(part.path), part.path)
        return merged

    def check(self) -> None:
        """Refuse parts that say what is not theirs, or what changes nothing."""
        allowed = read_config(bundles_folder() / "allowed_entries.yaml")
        reached = self._ever_reached([*ENTRY_POINTS, *(name for names in allowed.values() for name in names)])
        below: Config = {}
        owners: dict[str, Part] = {}  # top-level entry to the part that brought it
        for part in self.parts:
            entries = read_config(part.path)
            for key in entries if part.role != "frame" else ():
                name = "#".join(SEPARATOR.split(key.removeprefix("+")))
                owner = owners.get(name.partition("#")[0])
                of_own_role = owner is not None and owner.group == part.group
                if name == "about" and part.path.name != PAGE:
                    raise UserError("E109", f"{part.path} sets 'about', which only a page may", "Drop it")
                if not of_own_role and not _declared(name, allowed[part.group]):
                    _check_undeclared(name, part, owner, allowed, below, reached)
            merge(below, entries, part.path)
            for name in below:
                owners.setdefault(name, part)

    def _ever_reached(self, roots: Sequence[str]) -> set[str]:
        """What `reachable` gives with or without the later parts: these may replace what refers to an entry."""
        merged: Config = {}
        reached: set[str] = set()
        for part in self.parts:
            merge(merged, read_config(part.path), part.path)
            reached |= reachable(merged, roots)
        return reached


def _declared(name: str, allowed: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) or name.startswith(f"{pattern}#") for pattern in allowed)


def _check_undeclared(
    name: str, part: Part, owner: Part | None, allowed: Mapping[str, Sequence[str]], below: Config, reached: set[str]
) -> None:
    """Refuse an entry that is not declared, unless it is a new one that something refers to."""
    ids = siblings(below, name)
    if ids is None:
        if owner is not None and owner.role != "frame" and not _declared(name, allowed[owner.group]):
            cause = f"{owner.path} brings an entry {name!r}, which {part.path} has as well"
            raise UserError("E109", cause, "Rename one of them, or leave it to --set")
        cause = f"{part.path} sets {name!r}, which a {part.role} may not"
        raise UserError(
            "E109", cause, f"It may set {', '.join(allowed[part.group])}, and entries of its own; leave others to --set"
        )
    if "#" in name:
        cause = f"{part.path} sets {name!r}, which the configuration does not have"
        raise UserError("E103", cause, did_you_mean(name, ids))
    if name not in reached:
        cause = f"{part.path} sets {name!r}, to which nothing in the configuration refers"
        raise UserError("E103", cause, did_you_mean(name, allowed[part.group]))


def reachable(config: Mapping[str, Any], roots: Iterable[str] = ENTRY_POINTS) -> set[str]:
    """Names of the entries that a run comes to, from `roots` along references.

    Building a network alone (`$@network_def` among `initialize`) is no use of it, nor is telling a value as a fact.
    """
    waiting, reached = [name for name in roots if name in config], set(PLACES)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        value = config[name]
        if name == "initialize" and isinstance(value, list):
            value = [step for step in value if not BUILDS_A_NETWORK.fullmatch(str(step))]
        if name == "run_folder" and isinstance(value, Mapping):
            facts = dict(value.get("facts") or {}).values()
            value = {**value, "facts": [fact for fact in facts if NAME_OF_RUN.fullmatch(str(fact))]}
        tops = {reference.partition("#")[0] for reference in references(value)}
        waiting += sorted((tops & config.keys()) - reached)
    return reached & config.keys()


def frame() -> Config:
    """The entries that all configurations share."""
    return read_config(bundles_folder() / "frame.yaml")


def pretexts() -> list[str]:
    """Names of the pretexts that may stand before any method."""
    return sorted(frame()["pretexts"])


def about(bundle: Path) -> dict[str, Any]:
    """What a bundle's page says of itself beside its configuration: kind, own method, and what metadata tell.

    Raises:
        UserError: E108, it names neither kind nor method.
    """
    page = bundle / PAGE
    content = read_config(page).get("about")
    missing = [name for name in ("kind", "method") if not isinstance(content, dict) or name not in content]
    if missing:
        cause = f"{page} is no page of a dataset: `about` lacks {' and '.join(missing)}"
        raise UserError("E108", cause, "Name them there")
    assert isinstance(content, dict)
    return content


def stacked(
    bundle: Path,
    method: str | None = None,
    recipe: str = "default",
    run_modes: Sequence[str] = (),
    dataset: Path | None = None,
) -> Stack:
    """The parts of a configuration; arguments as of `monai_workflow.compose`, the bundle's folder found already."""
    facts = about(bundle)
    parts = [
        Part("frame", bundles_folder() / "frame.yaml"),
        Part("kind", _overlay("kind", str(facts["kind"]))),
        Part("dataset", bundle / PAGE),
    ]
    if dataset is not None:
        parts.append(Part("dataset", dataset))
    parts += _with_bases(_overlay("method", method or str(facts["method"])))
    if (overlay := find("recipe", recipe)) is not None:
        parts.append(Part("recipe", overlay))
    return Stack([*parts, *(Part("run_mode", _overlay("run_mode", name)) for name in run_modes)])


def _with_bases(path: Path) -> list[Part]:
    """A method's overlay, after those that it is a variant of (`base`)."""
    parts = [Part("method", path)]
    while (base := read_config(parts[0].path).get("base")) is not None:
        below = Part("method", _overlay("method", str(base)))
        if below in parts:
            raise UserError("E108", f"{path} is a variant of itself", "Correct `base`")
        parts.insert(0, below)
    return parts


def _overlay(kind: str, name: str) -> Path:
    path = find(kind, name)
    assert path is not None  # only the recipe `default` is no file
    return path
