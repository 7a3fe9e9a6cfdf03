"""Which bundles, methods, recipes and preparations there are, and where."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mednoisy.errors import UserError, did_you_mean

PAGE = "dataset.yaml"  # of a bundle: what its data are
DEFAULT_RECIPE = "default"  # the configuration without an overlay


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

    Returns:
        None for the recipe `default`, which is the configuration without one.

    Raises:
        UserError: E101, with the nearest name.
    """
    if kind == "recipe" and name == DEFAULT_RECIPE:
        return None
    own = bundles_folder() / (name if kind == "bundle" else f"{kind}s/{name}.yaml")
    candidates = [own, Path(name).expanduser()] if _is_path(name) or kind == "bundle" else [own]
    for path in candidates:
        if (path / PAGE if kind == "bundle" else path).is_file():
            return path.resolve()
    raise UserError("E101", f"unknown {kind} {name!r}", did_you_mean(name, known(kind)))


def _is_path(name: str) -> bool:
    return Path(name).name != name or name.endswith((".yaml", ".yml", ".json"))


def prepared_datasets() -> list[str]:
    """Names of the datasets that `mednoisy.data_prep` can prepare."""
    folder = Path(str(files("mednoisy.data_prep")))
    return sorted(path.stem for path in folder.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8"))
