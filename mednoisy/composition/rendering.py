"""The complete MONAI bundle of a dataset's page: what MONAI, its zoo's tools and MONAI Label read, from our parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from mednoisy import __version__
from mednoisy.composition.catalogue import PAGE, bundles_folder, known
from mednoisy.composition.config_files import Config, entry, read_config, references
from mednoisy.composition.stacking import DATA, Stack, about, stacked
from mednoisy.errors import UserError
from mednoisy.files import write_text

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
VERSIONS = {"monai_version": "1.6.1", "pytorch_version": "2.11.0", "numpy_version": "1.26.0"}  # tested, least, least
NOT_FOR_TRAINING = ("about", "base", "deployed_def", "image_files", "saving")
PLACES = ("imports", "bundle_root", "dataset_dir", "output_dir", "model_file", "device")  # first in inference.yaml
SHORT = 80  # characters of a list that stands on one line
CHANNELS = {1: ["image"], 3: ["red", "green", "blue"]}
HEADER = "# Rendered from the page {page} under {method}: change the parts, then `{command}`.\n"


def rendered(bundle: Path) -> dict[str, str]:
    """The files of a bundle, path below its folder to text: configurations, metadata, licence.

    Args:
        bundle: its folder, which holds `dataset.yaml`.

    Raises:
        UserError: what `stacked` and `Stack.check` refuse; E108, `about` lacks what metadata need.
    """
    stack = stacked(bundle)
    stack.check()
    facts = about(bundle)
    header = _header(bundle, f"its own method, {facts['method']}")
    modes = bundles_folder() / "run_modes"
    return {
        "configs/train.yaml": header + as_yaml(training(stack)),
        **_pretraining(bundle, facts),
        "configs/inference.yaml": header + as_yaml(inference(stack)),
        "configs/query.yaml": _text(bundles_folder() / "query.yaml"),
        "configs/metadata.json": json.dumps(metadata(stack, facts, bundle), indent=1, ensure_ascii=False) + "\n",
        **{f"configs/{name}.yaml": _text(modes / f"{name}.yaml") for name in known("run_mode")},
        "LICENSE": _text(bundles_folder() / "LICENSE"),
    }


def render(bundle: Path) -> list[Path]:
    """Write the files of a bundle into its folder, and return their paths; arguments and refusals as of `rendered`."""
    written = []
    for name, text in rendered(bundle).items():
        write_text(bundle / name, text)
        written.append(bundle / name)
    return written


def _header(bundle: Path, method: str) -> str:
    return HEADER.format(page=PAGE, method=method, command="make bundles" if _ships(bundle) else "mednoisy render")


def _pretraining(bundle: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """`pretrain.yaml` of a page that names a `pretext`: that pretext alone, for other runs to start from."""
    if "pretext" not in facts:
        return {}
    stack = stacked(bundle, str(facts["pretext"]))
    stack.check()
    return {"configs/pretrain.yaml": _header(bundle, f"the pretext {facts['pretext']}") + as_yaml(training(stack))}


def training(stack: Stack) -> Config:
    """The entries of `train.yaml`: all of the composed configuration but what is for other files."""
    return {name: value for name, value in stack.config.items() if name not in NOT_FOR_TRAINING}


def inference(stack: Stack) -> Config:
    """The entries of `inference.yaml`: its frame, the network that is deployed, and what both refer to."""
    return inference_of(stack.config, _alternatives(stack))


def inference_of(config: Config, alternatives: Sequence[str] = ()) -> Config:
    """The entries of `inference.yaml` of a composed configuration.

    Args:
        config: of a stack, or of a run.
        alternatives: entries of networks that may stand in the place of `network_def`, where that is deployed.
    """
    frame = read_config(bundles_folder() / "inference_frame.yaml")
    deployed = config["deployed_def"]
    frame["network_def"] = config["network_def"] if deployed == "%network_def" else inlined(deployed, config)
    frame["inferer"] = inlined(frame["inferer"], config)
    pulled: Config = {}
    if deployed == "%network_def":  # and the networks that may stand in its place
        pulled = {name: config[name] for name in alternatives}
    waiting: list[Any] = [frame, pulled]
    while waiting:
        for name in sorted({reference.partition("#")[0] for reference in references(waiting.pop())}):
            if name in config and name not in frame and name not in pulled:
                pulled[name] = config[name]
                waiting.append(config[name])
    places = {name: frame[name] for name in PLACES}
    in_order = {name: config[name] for name in config if name in pulled}
    return deepcopy(places | in_order | {"network_def": frame["network_def"]} | frame)


def metadata(stack: Stack, facts: Mapping[str, Any], bundle: Path) -> dict[str, Any]:
    """The content of `metadata.json`.

    Raises:
        UserError: E108, `about` lacks an entry.
    """
    picture = facts["kind"] == "pictures"
    names = stack.config["label_names"]
    classes = {str(code): name for code, name in enumerate(names)}
    listed = ", ".join(f"{code} {name}" for code, name in classes.items())
    try:
        return {
            "schema": SCHEMA,
            "version": __version__,
            "changelog": {__version__: "First version"},
            **VERSIONS,
            "required_packages_version": {
                "mednoisy": __version__,
                **({"pillow": "10.0.0"} if picture else {"nibabel": "5.2.0"}),
                "pytorch-ignite": "0.5.0",
            },
            "name": facts["title"],
            "task": facts["task"],
            "description": facts["description"],
            "authors": "The mednoisy team",
            "copyright": "The mednoisy team, Apache-2.0",
            "data_source": facts["data_source"],
            "data_type": "picture" if picture else "nibabel",
            "image_classes": facts["image_classes"],
            "label_classes": listed,
            "pred_classes": listed,
            "intended_use": facts.get("intended_use", "Research; not for diagnostic purposes"),
            "references": facts["references"],
            "network_data_format": _data_format(facts, classes, axes=len(stack.config["patch_size"])),
        }
    except KeyError as missing:
        page = bundle / PAGE
        cause = f"{page} is no page of a dataset: `about` lacks {missing}"
        raise UserError("E108", cause, "Name it there") from missing


def _data_format(facts: Mapping[str, Any], classes: Mapping[str, str], axes: int) -> dict[str, Any]:
    """What a network takes and gives, in the words of MONAI's schema."""
    picture = facts["kind"] == "pictures"
    channels = facts.get("channels") or CHANNELS[3 if picture else 1]
    multiples = facts["multiple"] if isinstance(facts["multiple"], list) else [facts["multiple"]] * axes
    tensor = {
        "type": "image",
        "spatial_shape": [f"{multiple}*n" for multiple in multiples],
        "dtype": "float32",
        "is_patch_data": facts["kind"] == "volumes",
    }
    image = {
        "format": "RGB" if picture else "magnitude",
        "modality": facts["modality"],
        "num_channels": len(channels),
        "value_range": facts["value_range"],
        "channel_def": {str(number): name for number, name in enumerate(channels)},
    }
    prediction = {
        "format": "segmentation",
        "modality": "n/a",
        "num_channels": len(classes),
        "value_range": [0, 1],
        "channel_def": dict(classes),
    }
    return {"inputs": {"image": tensor | image}, "outputs": {"pred": tensor | prediction}}


def _alternatives(stack: Stack) -> Sequence[str]:
    """Names of networks that the pages offer, but for those that training alone has."""
    of_data = [name for part in stack.parts if part.role in DATA for name in read_config(part.path)]
    return [name for name in of_data if name.endswith("_def") and name not in ("network_def", "partner_def")]


def inlined(value: Any, config: Config) -> Any:
    """A value with the entries that it copies (`%id`) in their places."""
    if isinstance(value, str) and value.startswith("%"):
        return inlined(entry(config, value[1:]), config)
    if isinstance(value, Mapping):
        return {key: inlined(part, config) for key, part in value.items()}
    return [inlined(part, config) for part in value] if isinstance(value, list) else value


def _ships(bundle: Path) -> bool:
    return bundle.resolve().parent == bundles_folder().resolve()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Short lists of plain values stand on one line, as people write them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list_on_one_line(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    plain = all(not isinstance(value, list | dict) for value in values) and len(str(values)) < SHORT
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=plain)


_Dumper.add_representer(list, _list_on_one_line)


def as_yaml(config: Config) -> str:
    """Entries as people write them."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
