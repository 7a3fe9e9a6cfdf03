"""What the networks of a study's runs start from: nothing, a pretext, or a file of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mednoisy.composition import compose
from mednoisy.composition.config_files import SEPARATOR, merge, siblings
from mednoisy.composition.stacking import pretexts, reachable
from mednoisy.errors import UserError, did_you_mean

NOTHING, FILE = "scratch", "pretrained:"
OF_STARTS = ("pretext", "pretext_from", "pretext_steps", "pretrained")  # entries that say what a run starts from
DIGITS = 12  # of a file's digest


@dataclass(frozen=True)
class Start:
    """What encoders of a run begin with.

    Args:
        pretext: learned by a run of its own; None for no pretext.
        file: of weights; None for no file.
    """

    pretext: str | None = None
    file: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Start:
        """The start of `scratch`, the name of a pretext, or `pretrained:FILE`.

        Raises:
            UserError: E546, it is none of these, or a file that tables would call as another start.
        """
        if text == NOTHING:
            return cls()
        known = pretexts()
        if text.startswith(FILE) and text != FILE:
            start = cls(file=Path(text.removeprefix(FILE)).expanduser())
            if start.name in (NOTHING, *known):
                cause = f"start {text!r} would be called {start.name}, as another start is"
                raise UserError("E546", cause, "Rename the file")
            return start
        if text not in known:
            raise UserError("E546", f"unknown start {text!r}", did_you_mean(text, [NOTHING, *known, f"{FILE}FILE"]))
        return cls(pretext=text)

    @property
    def name(self) -> str:
        """What tables and curves call it; "scratch" of none."""
        return self.pretext or (self.file.stem if self.file else NOTHING)

    @property
    def definition(self) -> str:
        """All that it is, in words; of a file its digest, for a file of the same name may hold something else."""
        if self.file is None:
            return self.name
        digest = _digest(self.file, self.file.stat().st_mtime_ns) if self.file.is_file() else "gone"
        return f"{FILE}{self.file.name} {digest}"

    def __bool__(self) -> bool:
        """Whether there is anything to start from."""
        return self != SCRATCH


SCRATCH = Start()


@cache
def _digest(file: Path, changed: int) -> str:
    """Of a file's bytes; `changed`, when it was, is for the cache alone."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGITS]


def with_use(
    settings: Mapping[str, Any], bundle: str, dataset: Path | None, method: str, recipe: str = "default"
) -> dict[str, Any]:
    """Those of some settings that a configuration has entries for which a run comes to, all of them being set."""
    config = deepcopy(_composed(bundle, dataset, method, recipe))
    known: dict[str, Any] = {}
    for key, value in settings.items():
        if siblings(config, key) is None:
            known[key] = value
            merge(config, {key: value}, "a setting")
    reached = reachable(config)
    return {key: value for key, value in known.items() if SEPARATOR.split(key)[0] in reached}


def trains_partner(bundle: str, dataset: Path | None, method: str, recipe: str, settings: Mapping[str, Any]) -> bool:
    """Whether a run trains a second network that is of another kind than the first."""
    config = _composed(bundle, dataset, method, recipe) | dict(settings)
    first, second = (_definition(config, f"{name}_def") for name in ("network", "partner"))
    return "partner_def" in reachable(config, ["stages"]) and first != second


@cache
def _composed(bundle: str, dataset: Path | None, method: str, recipe: str) -> dict[str, Any]:
    """A configuration, to be left as it is: a study asks for it once a row and more."""
    return compose(bundle, method, recipe, dataset=dataset).config


def _definition(config: Mapping[str, Any], name: str) -> Any:
    """What an entry is, or the one that it copies; None of entries that copy one another."""
    seen, value = {name}, config.get(name)
    while isinstance(value, str) and value.startswith("%") and value[1:] in config:
        if value[1:] in seen:
            return None
        seen.add(value[1:])
        value = config[value[1:]]
    return value
