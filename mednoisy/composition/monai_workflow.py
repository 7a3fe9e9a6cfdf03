"""The `monai.bundle run` command of a configuration, and its execution."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mednoisy.composition.catalogue import find
from mednoisy.composition.command_line_values import checked_path, is_literal
from mednoisy.composition.config_errors import at_fault, unknown_entry, without_effect
from mednoisy.composition.config_files import SEPARATOR, Config, merge, read_config, references, siblings
from mednoisy.composition.stacking import reachable, stacked
from mednoisy.composition.trusted_config import check_trusted
from mednoisy.errors import REFUSED, UserError, user_error_behind


@dataclass(frozen=True)
class Composition:
    """Config files, later over earlier, and values that replace single entries."""

    config_files: Sequence[Path]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> Config:
        """All entries of the config files, merged as MONAI does, without the overrides."""
        merged: Config = {}
        for path in self.config_files:
            merge(merged, read_config(path), path)
        return merged

    def check_overrides(self) -> None:
        """Refuse values for entries that are not there, or to which nothing refers (E103)."""
        config = deepcopy(self.config)
        for key, value in self.overrides.items():
            if (ids := siblings(config, key)) is not None:
                raise unknown_entry(key, config, ids)
            merge(config, {key: value}, "an override")
        if any(siblings(config, reference) for reference in references(list(self.overrides.values()))):
            return  # one that leads nowhere, which is told when MONAI reads it
        reached = reachable(config)
        for key in self.overrides:
            if SEPARATOR.split(key)[0] not in reached:
                raise without_effect(key, config)

    @property
    def meta_file(self) -> Path | None:
        """The bundle's metadata, where it is rendered; None where MONAI shall look beside the first config file."""
        path = Path(str(self.overrides.get("bundle_root", ""))) / "configs" / "metadata.json"
        return path if path.is_file() else None

    @property
    def metadata(self) -> Any:
        """What MONAI shall take for metadata: those that a run's own configuration holds, else a file.

        A file that lies in a run folder, or in the folder that a run names as its bundle's, is not read for it.
        """
        if isinstance(self.config.get("_meta_"), dict):
            return self.config["_meta_"]
        return None if self.meta_file is None else str(self.meta_file)

    @property
    def command(self) -> str:
        """The same run as a command for the shell."""
        listed = json.dumps([str(path) for path in self.config_files], ensure_ascii=False)
        words = ["python", "-m", "monai.bundle", "run", "--config_file", listed]
        words += ["--meta_file", str(self.meta_file)] if self.meta_file else []
        for key, value in self.overrides.items():
            words += [f"--{key}", value if isinstance(value, str) and not is_literal(value) else repr(value)]
        return shlex.join(words)

    def workflow(self) -> Any:
        """MONAI's workflow of the configs.

        Raises:
            UserError: E103, an override names no entry of the configuration, or one that nothing refers to.
        """
        self.check_overrides()
        from monai.bundle import ConfigWorkflow

        with _without_remarks("monai.bundle.workflows"):
            workflow = ConfigWorkflow(
                config_file=[str(path) for path in self.config_files],
                meta_file=self.metadata,
                logging_file=False,
                workflow_type="train",
            )
        for key, value in self.overrides.items():
            workflow.parser[key] = value
        return workflow

    def run(self, run_id: str = "run") -> Any:
        """Do what `monai.bundle run` does, and keep the merged configuration in the run folder.

        Args:
            run_id: the entry of the configs that is done, `run` or `evaluate`.

        Raises:
            UserError: what the user can mend, taken out of the errors that MONAI wraps around it; E107, see
                `config_errors`.
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
        configs: further overlays, `evaluate` or `multi_gpu`.
        overrides: values of single entries.
        dataset: file of an overlay that says what is different about other data than the bundle's: the classes, the
            size of a patch, and the like.

    Raises:
        UserError: E101, one of them is not there; E103, E108 and E109, what `Stack.check` refuses of them.
    """
    root = find("bundle", bundle)
    assert root is not None
    if dataset is not None and not Path(dataset).is_file():
        raise UserError("E101", f"the dataset's overlay {dataset} does not exist", "Correct --dataset")
    stack = stacked(root, method, recipe, configs, None if dataset is None else Path(dataset).resolve())
    stack.check()
    files = [part.path for part in stack.parts]
    return Composition(files, {"bundle_root": checked_path(root, "bundle"), **(overrides or {})})


def of_run(folder: Path | str, overrides: Mapping[str, Any] | None = None, trust: bool = False) -> Composition:
    """A finished run, from the configuration kept in its folder, to be evaluated or used for prediction.

    Args:
        overrides: values of single entries, such as `device`.
        trust: whether the configuration may be any program, see `check_trusted`.

    Raises:
        UserError: E312, the folder holds no run of `mednoisy train`; E108, its configuration is damaged; E390, it may
            do more than describe a run.
    """
    config = Path(folder) / "config.yaml"
    if not config.is_file() and (Path(folder) / "run.json").is_file():
        cause = f"{folder} holds a run without its config.yaml, as `monai.bundle run` leaves it"
        raise UserError("E312", cause, "Give its bundle, --data and --output, with --resume")
    if not config.is_file():
        raise UserError("E312", f"{folder} holds no run", "Give the --output folder of a `mednoisy train`")
    content = read_config(config)
    if not trust:
        check_trusted(content, config)
    path = checked_path(folder, "run")
    places = {"output_dir": path, "model_file": str(Path(path) / "models" / "model.pt")}
    return Composition([config.resolve()], {**places, "resume": True, **(overrides or {})})
