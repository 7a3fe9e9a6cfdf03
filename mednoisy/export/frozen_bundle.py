"""The MONAI bundle of a finished run, which needs neither the run nor the parts that it was composed of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mednoisy import __version__
from mednoisy.composition import bundles_folder
from mednoisy.composition.config_files import Config, merge, read_config, references
from mednoisy.composition.rendering import NOT_FOR_TRAINING, as_yaml, inference_of, inlined
from mednoisy.composition.stacking import ENTRY_POINTS
from mednoisy.export.deployed_run import DeployedRun
from mednoisy.export.page import page_of

ENSEMBLE = "mednoisy.networks.ensemble.MeanEnsemble"
HEADER = "# Of a finished run, every value as it was there: {facts}.\n"
RENAMED = {"@train#dataset": "@train#studies", "@validate#dataset": "@validate#studies"}
FROM_SERVED = {  # entries that some methods have, so that they go on from the served network
    "fresh": False,
    "source_def": "@network_def",
    "teacher_run": None,
    "trust_teacher": False,
}
MODEL, PAGE = "models/model.pt", "README.md"
TRAINED = ("network_def", "partner_def")


def write_bundle(run: DeployedRun, folder: Path, called: str) -> None:
    """Write the bundle into an empty folder: configurations, metadata, weights, licence and a page about it.

    A cross-validated run has no `train.yaml`: its networks together are no one training's.
    """
    for name, text in bundle_texts(run, called).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / MODEL).parent.mkdir()
    torch.save(run.network.state_dict(), folder / MODEL)


def bundle_texts(run: DeployedRun, name: str) -> dict[str, str]:
    """The texts of the bundle, by path below its folder."""
    facts = ", ".join(f"{key} {value}" for key, value in run.summary.facts.items() if key in FACTS)
    header = HEADER.format(facts=facts)
    texts = {
        "configs/inference.yaml": header + as_yaml(frozen_inference(run)),
        "configs/metadata.json": json.dumps(frozen_metadata(run), indent=1, ensure_ascii=False) + "\n",
        f"docs/{PAGE}": page_of(run, name),
        "docs/data_license.txt": _data_license(run),
        "LICENSE": (bundles_folder() / "LICENSE").read_text(encoding="utf-8"),
    }
    if not run.folds:
        texts["configs/train.yaml"] = header + as_yaml(frozen_training(run))
    return texts


FACTS = ("dataset", "method", "recipe", "folds", "labeled", "unlabeled", "steps", "seed")


def frozen_inference(run: DeployedRun) -> Config:
    """The entries of `inference.yaml`."""
    config = with_short_ids(run.config)
    if run.folds:
        member = inlined(config["deployed_def"], config)
        config["deployed_def"] = {"_target_": ENSEMBLE, "members": [member] * run.folds}
    frozen = inference_of(config)
    if run.codes:
        _set_codes(frozen["saving"], list(run.codes))
    return frozen


def frozen_training(run: DeployedRun) -> Config:
    """The entries of `train.yaml`, for the studies of a MONAI Label server; only those that it comes to."""
    config = with_short_ids(run.config)
    config["network"] = _shared(config["deployed_def"], config, [])
    merge(config, read_config(bundles_folder() / "studies_frame.yaml"), "studies_frame.yaml")
    config.update({name: value for name, value in FROM_SERVED.items() if name in config})
    config = _with_references(config, RENAMED)
    reached = _named_from(config, ["imports", *ENTRY_POINTS])
    return {name: value for name, value in config.items() if name in reached and name not in NOT_FOR_TRAINING}


def frozen_metadata(run: DeployedRun) -> dict[str, Any]:
    """The content of `metadata.json`: the bundle's, with the run's classes, sizes and how it was trained."""
    metadata: dict[str, Any] = deepcopy(run.config["_meta_"])
    classes = {str(code): name for code, name in enumerate(run.label_names)}
    listed = ", ".join(f"{code} {name}" for code, name in classes.items())
    facts = run.summary.facts
    needed = {**metadata["required_packages_version"], "mednoisy": __version__}
    needed |= {package: version(package) for package in run.further_packages}
    how = f"Trained by {facts.get('method')} on {facts.get('labeled')} labeled and {facts.get('unlabeled')} unlabeled"
    metadata |= {
        "changelog": {metadata["version"]: "Exported from a finished run"},
        "required_packages_version": needed,
        "description": f"{str(metadata['description']).rstrip('.')}. {how} cases.",
        "label_classes": listed,
        "pred_classes": listed,
    }
    prediction = metadata["network_data_format"]["outputs"]["pred"]
    prediction |= {"num_channels": len(classes), "channel_def": classes}
    metadata["network_data_format"]["inputs"]["image"]["num_channels"] = run.channels
    return metadata


def with_short_ids(config: Mapping[str, Any]) -> Config:
    """A configuration without its metadata, with `#` between the parts of ids, as people write them."""
    return _with_references({name: deepcopy(value) for name, value in config.items() if name != "_meta_"}, {"::": "#"})


def _with_references(value: Any, renamed: Mapping[str, str]) -> Any:
    """A value in whose texts references are others; one that leads further (`@train#dataset#data`) is left."""
    if isinstance(value, Mapping):
        return {name: _with_references(part, renamed) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_references(part, renamed) for part in value]
    if isinstance(value, str):
        for before, after in renamed.items():
            value = re.sub(rf"{re.escape(before)}(?![\w#])" if before != "::" else "::", after, value)
    return value


def _shared(deployed: Any, config: Config, used: list[str]) -> Any:
    """The definition of what is deployed, of the networks that are trained in place of further ones like them.

    A run's configuration holds copies where the overlay named `%network_def`, so they are known by being equal;
    of two equal networks each is taken once.
    """
    if isinstance(deployed, str) and deployed.startswith("%"):
        return f"@{deployed[1:]}"
    equal = [name for name in TRAINED if name in config and config[name] == deployed]
    if equal:
        name = next((name for name in equal if name not in used), equal[0])
        used.append(name)
        return f"@{name}"
    if isinstance(deployed, Mapping):
        return {name: _shared(part, config, used) for name, part in deployed.items()}
    return [_shared(part, config, used) for part in deployed] if isinstance(deployed, list) else deployed


def _named_from(config: Config, roots: Sequence[str]) -> set[str]:
    """Names of the entries that MONAI would look up, from some on; of facts that are only told, too."""
    waiting, named = [name for name in roots if name in config], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in named:
            named.add(name)
            waiting += sorted({reference.partition("#")[0] for reference in references(config[name])} & config.keys())
    return named


def _set_codes(saving: Any, codes: list[int]) -> None:
    """Let every writer of label maps in a value write the source's codes."""
    if isinstance(saving, dict):
        if str(saving.get("_target_", "")).endswith("SaveLabelsd"):
            saving["codes"] = codes
        for part in saving.values():
            _set_codes(part, codes)
    elif isinstance(saving, list):
        for part in saving:
            _set_codes(part, codes)


def _data_license(run: DeployedRun) -> str:
    """What the bundle that the run is of says about its data."""
    path = bundles_folder() / str(run.config.get("dataset_name")) / "docs" / "data_license.txt"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return "No data come with this bundle. The owner of the images that it was trained on sets their terms of use.\n"
