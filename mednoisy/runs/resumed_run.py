"""A run that goes on or is scored again, from what its folder holds alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mednoisy.composition import Composition, bundles_folder, checked_path, of_run
from mednoisy.composition.config_files import read_config
from mednoisy.composition.stacking import frame


def resumed(
    folder: Path | str,
    data: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Composition:
    """The run that a folder holds, to be trained to its end or scored again.

    Args:
        folder: of the run; it may have been moved.
        data: the prepared dataset, where it has been moved.
        overrides: values of single entries; those that make a run what it is must be what they were (E313).
        trust: whether its configuration may be any program, see `check_trusted`.

    Under torchrun `multi_gpu.yaml` is added. Elsewhere it is taken back: one process may score a run of
    several, and is refused as such (E316) where it would train on.

    Raises:
        UserError: as `of_run`: E312, the folder holds no run of `mednoisy train`; E108, its configuration is damaged;
            E390, it may do more than describe a run.
    """
    composition = of_run(folder, trust=trust)
    (file,) = composition.config_files
    config = read_config(file)
    values = dict(composition.overrides)
    if data is not None:
        values["dataset_dir"] = checked_path(data, "--data")
    files = [file]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # set by torchrun
        files.append(bundles_folder() / "run_modes" / "multi_gpu.yaml")
    elif config.get("distributed"):
        values |= {name: frame()[name] for name in ("distributed", "device")}
    return replace(composition, config_files=files, overrides=values | dict(overrides or {}))
