"""Which bundles, methods, recipes and preparations there are, and where."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files
from pathlib import Path

from mednoisy.errors import UserError, did_you_mean

PAGE = "dataset.yaml"  # of a bundle: what its data are
DATALIST = "datalist.json"  # of a prepared dataset, whose own bundle lies in the folder `bundle` beside it
DEFAULT_RECIPE = "default"  # the configuration without an overlay
COMMAND = re.compile(r"^(def main\(|prepare, main = )", re.MULTILINE)  # of a module that prepares a dataset


def bundles_folder() -> Path:
    """The folder of the bundles that come with the package."""
    return Path(str(files("mednoisy.bundles")))


def known(kind: str) -> list[str]:
    """Names of the `bundle`s, `method`s, `recipe`s, `kind`s or `run_mode`s that come with the package."""
    folder = bundles_folder()
    if kind == "bundle":
        return sorted(path.parent.name for path in folder.glob(f"*/{PAGE}"))
    overlays = sorted(path.stem for path in (folder / f"{kind}s").glob("*.yaml"))
    return [*overlays, DEFAULT_RECIPE] if kind == "recipe" else overlays


def find(kind: str, name: str) -> Path | None:
    """The folder of a bundle, or the overlay of a method, recipe, kind or run mode; `name` may also be a path.

    For a bundle, the folder of a prepared dataset (`datalist.json`) stands for the bundle in it, `bundle`.

    Returns:
        None for the recipe `default`, which is the configuration without one.

    Raises:
        UserError: E101, with the nearest name; E382, the folder of a dataset without a bundle of its own.
    """
    if kind == "recipe" and name == DEFAULT_RECIPE:
        return None
    if kind == "bundle" and (dataset := dataset_of(name)) is not None:
        return (dataset / "bundle").resolve()
    own = bundles_folder() / (name if kind == "bundle" else f"{kind}s/{name}.yaml")
    candidates = [own, Path(name).expanduser()] if _is_path(name) or kind == "bundle" else [own]
    for path in candidates:
        if (path / PAGE if kind == "bundle" else path).is_file():
            return path.resolve()
    raise UserError("E101", f"unknown {kind} {name!r}", did_you_mean(name, known(kind)))


def dataset_of(bundle: str) -> Path | None:
    """The folder of the prepared dataset that was given in the place of a bundle; None where a bundle was given.

    Raises:
        UserError: E382, there is no bundle in it.
    """
    folder = Path(bundle).expanduser()
    if any((place / PAGE).is_file() for place in (bundles_folder() / bundle, folder)):
        return None
    if not (folder / DATALIST).is_file():
        return None
    if not (folder / "bundle" / PAGE).is_file():
        command = shlex.join(["mednoisy", "bundle", "new", str(folder), str(folder / "bundle")])
        cause = f"{folder} is a prepared dataset without a bundle of its own"
        raise UserError("E382", cause, f"Make one: {command}, or name a bundle and give --data {folder}")
    return folder


def _is_path(name: str) -> bool:
    return Path(name).name != name or name.endswith((".yaml", ".yml", ".json"))


def prepared_datasets() -> list[str]:
    """Names of the datasets that `mednoisy.data_prep` can prepare."""
    folder = Path(str(files("mednoisy.data_prep")))
    return sorted(path.stem for path in folder.glob("*.py") if COMMAND.search(path.read_text(encoding="utf-8")))
