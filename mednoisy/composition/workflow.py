"""A bundle, a method and a recipe put together: the `monai.bundle run` command of a run, and its execution."""

from __future__ import annotations

import ast
import json
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from mednoisy.composition.config_errors import at_fault
from mednoisy.composition.config_files import check_entries, read_overlay
from mednoisy.errors import REFUSED, UserError, did_you_mean, user_error_behind


def bundles_folder() -> Path:
    """The folder of the bundles that come with the package."""
    return Path(str(files("mednoisy.bundles")))


def known(kind: str) -> list[str]:
    """Names of the `bundle`s, `method`s or `recipe`s that come with the package."""
    folder = bundles_folder()
    if kind == "bundle":
        return sorted(path.parent.parent.name for path in folder.glob("*/configs/train.yaml"))
    overlays = sorted(path.stem for path in (folder / f"{kind}s").glob("*.yaml"))
    return [*overlays, "default"] if kind == "recipe" else overlays


def find(kind: str, name: str) -> Path | None:
    """The folder of a bundle, or the overlay of a method or recipe; `name` may also be a path.

    Returns:
        None for the recipe `default`, which is the bundle itself.

    Raises:
        UserError: E101, with the nearest name.
    """
    if kind == "recipe" and name == "default":
        return None
    own = bundles_folder() / (name if kind == "bundle" else f"{kind}s/{name}.yaml")
    candidates = [own, Path(name).expanduser()] if _is_path(name) or kind == "bundle" else [own]
    for path in candidates:
        if (path / "configs" / "train.yaml" if kind == "bundle" else path).is_file():
            return path.resolve()
    raise UserError("E101", f"unknown {kind} {name!r}", did_you_mean(name, known(kind)))


def _is_path(name: str) -> bool:
    return Path(name).name != name or name.endswith((".yaml", ".yml", ".json"))


@dataclass(frozen=True)
class Composition:
    """Config files, later over earlier, and values that replace single entries."""

    config_files: Sequence[Path]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The same run as a command for the shell."""
        listed = json.dumps([str(path) for path in self.config_files], ensure_ascii=False)
        words = ["python", "-m", "monai.bundle", "run", "--config_file", listed]
        for key, value in self.overrides.items():
            words += [f"--{key}", value if isinstance(value, str) and not _is_literal(value) else repr(value)]
        return shlex.join(words)

    def workflow(self) -> Any:
        """MONAI's workflow of the configs.

        Raises:
            UserError: E103, an override names no entry of the configs.
        """
        from monai.bundle import ConfigWorkflow

        with _without_remarks("monai.bundle.workflows"):
            workflow = ConfigWorkflow(
                config_file=[str(path) for path in self.config_files], logging_file=False, workflow_type="train"
            )
        for key, value in self.overrides.items():
            if key not in workflow.parser:
                owners = _with_entry(key)
                options = [str(name) for name in workflow.parser.get()]
                cure = f"It is an entry of {', '.join(owners)}" if owners else did_you_mean(key, options)
                raise UserError("E103", f"the configuration has no entry {key!r}", cure)
            workflow.parser[key] = value
        return workflow

    def run(self, run_id: str = "run") -> Any:
        """Do what `monai.bundle run` does, and keep the merged configuration in the run folder.

        Args:
            run_id: the entry of the configs that is done, `run` or `evaluate`.

        Raises:
            UserError: what the user can mend, taken out of the errors that MONAI wraps around it; E107, see
                `misconfigured`.
        """
        import yaml

        folder = None
        try:
            workflow = self.workflow()
            merged = workflow.parser.get()
            workflow.initialize()
            folder = workflow.parser.get_parsed_content("run_folder")
            folder.config_text = yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
            workflow.run_id = run_id
            workflow.run()
            workflow.finalize()
        except Exception as fault:
            mendable = user_error_behind(fault) or at_fault(fault)
            if mendable is None or mendable is fault:
                raise
            if folder is not None and mendable.exit_code == REFUSED:
                folder.discard()
            raise mendable from fault
        finally:
            if folder is not None:
                folder.close()
        return workflow


def _with_entry(key: str) -> list[str]:
    """Names of the bundles and methods whose configuration has an entry."""
    configs = {name: bundles_folder() / name / "configs" / "train.yaml" for name in known("bundle")}
    configs |= {name: bundles_folder() / "methods" / f"{name}.yaml" for name in known("method")}
    return [name for name, path in configs.items() if key in read_overlay(path)]


@contextmanager
def _without_remarks(name: str) -> Iterator[None]:
    """Without what a logger says: MONAI remarks on overlays that lie beside the bundle, as ours do by design."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def compose(
    bundle: str,
    method: str | None = None,
    recipe: str = "default",
    configs: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    dataset: Path | str | None = None,
) -> Composition:
    """The configs of a bundle under a method and a recipe.

    Args:
        bundle: a name or the folder of a bundle.
        method: a name or the file of an overlay; None for the bundle's own method.
        recipe: a name or the file of an overlay.
        configs: further configs of the bundle, such as `evaluate` or `multi_gpu`.
        overrides: values of single entries.
        dataset: file of an overlay that says what is different about other data than the bundle's: the classes, the
            size of a patch, and the like.

    Raises:
        UserError: E101, one of them is not there; E108, it holds no configuration; E103, an entry of `dataset` is
            unknown.
    """
    root = find("bundle", bundle)
    assert root is not None
    chosen = [root / "configs" / "train.yaml"]
    if dataset is not None:
        if not Path(dataset).is_file():
            raise UserError("E101", f"the dataset's overlay {dataset} does not exist", "Correct --dataset")
        check_entries(Path(dataset), chosen[0])
        chosen.append(Path(dataset).resolve())
    for overlay in (find("method", method) if method else None, find("recipe", recipe)):
        if overlay is not None:
            read_overlay(overlay)
            chosen.append(overlay)
    chosen += [root / "configs" / f"{name}.yaml" for name in configs]
    return Composition(chosen, {"bundle_root": checked_path(root, "bundle"), **(overrides or {})})


def checked_path(path: str | Path, option: str) -> str:
    """An absolute path as a config can hold it.

    Raises:
        UserError: E104, it has a `#`, which MONAI's configs take for a separator.
    """
    absolute = str(Path(path).expanduser().resolve())
    if "#" in absolute:
        raise UserError("E104", f"{option} {absolute!r} has a '#', which MONAI's configs cannot hold", "Rename it")
    return absolute


def checked_device(name: str) -> str:
    """The config expression of a device that is there.

    Raises:
        UserError: E105, PyTorch does not know it or does not find it on this machine.
    """
    import torch

    try:
        torch.empty(1, device=torch.device(name)).item()
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        raise UserError(
            "E105", f"device {name!r} cannot be used: {str(fault).splitlines()[0]}", "Use cpu, cuda or cuda:1"
        ) from fault
    return f'$torch.device("{name}")'


def parse_setting(text: str) -> tuple[str, Any]:
    """`id=value` as key and value; the value is a Python literal where it can be read as one.

    Raises:
        UserError: E102, there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError("E102", f"--set {text!r} is no id=value", "Write for example --set batch_size=2")
    if _is_literal(value):
        return key, ast.literal_eval(value)
    return key, {"true": True, "false": False, "null": None}.get(value, value)


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def of_run(folder: Path | str, overrides: Mapping[str, Any] | None = None) -> Composition:
    """A finished run, from the configuration kept in its folder, to be evaluated or used for prediction.

    Args:
        overrides: values of single entries, such as `device`.

    Raises:
        UserError: E312, the folder holds no run of `mednoisy train`; E108, its configuration is damaged.
    """
    config = Path(folder) / "config.yaml"
    if not config.is_file():
        raise UserError("E312", f"{folder} holds no run", "Give the --output folder of a `mednoisy train`")
    read_overlay(config)
    path = checked_path(folder, "run")
    places = {"output_dir": path, "model_file": str(Path(path) / "models" / "model.pt")}
    return Composition([config.resolve()], {**places, "resume": True, **(overrides or {})})


def prepared_datasets() -> list[str]:
    """Names of the datasets that `mednoisy.data_prep` can prepare."""
    folder = Path(str(files("mednoisy.data_prep")))
    return sorted(path.stem for path in folder.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8"))
