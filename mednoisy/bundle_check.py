"""Whether bundles, methods and recipes go together: everything is composed and built, nothing is trained or read.

Networks are built on PyTorch's device `meta`, where weights take no memory and a forward pass gives shapes alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver
from monai.bundle.utils import ID_SEP_KEY
from monai.utils import BundleProperty, BundlePropertyConfig
from torch import nn
from tqdm import tqdm

from mednoisy.composition import compose, find, known
from mednoisy.composition.rendering import rendered
from mednoisy.data.training_stream import check_chain
from mednoisy.engines.patch_limits import check_patch
from mednoisy.engines.stages import plan_of
from mednoisy.errors import UserError
from mednoisy.methods.pretext import Pretext

NOT_FOR_THESE = "E538"  # a method for pictures in colour, and a bundle for other images
OWN = "(own)"  # stands for the method of a bundle without an overlay
DRAWS = 4  # of augmentation: choices differ
Properties = Mapping[str, Mapping[Any, Any]]


@dataclass(frozen=True)
class Checked:
    """One bundle under one method and recipe (both empty for its metadata and `inference.yaml`); what is at fault.

    `applies` is false where the method is for other images, so that there is nothing to check.
    """

    bundle: str
    method: str
    recipe: str
    faults: tuple[str, ...]
    applies: bool = True

    @property
    def name(self) -> str:
        """What was checked, for messages."""
        if not self.method:
            return self.bundle
        return f"{self.bundle} with method {self.method} and recipe {self.recipe}"


def check(
    bundles: Sequence[str] = (), methods: Sequence[str] = (), recipes: Sequence[str] = (), pretext: str | None = None
) -> list[Checked]:
    """Check every bundle under every method and recipe; a progress bar is shown on a terminal.

    Of each are checked: no key is given twice, every reference leads to an entry, what MONAI requires of a bundle is
    there, every stage builds its method, optimiser and schedule, the patch suits the networks, predictors map channels
    and patch of the metadata to its classes, a pretext's students to an image, augmentation keeps the shape of a crop.

    Args:
        bundles, methods, recipes: names or paths; all that come with the package where empty.
        pretext: name of the stage that stands before each method; of all methods that of its name is left out.

    Raises:
        UserError: E101, an unknown name.
    """
    bundles, recipes = bundles or known("bundle"), recipes or known("recipe")
    methods = methods or [OWN, *(name for name in known("method") if name != pretext)]
    for kind, names in (("bundle", bundles), ("method", methods), ("recipe", recipes)):
        for name in names:
            if name != OWN:
                find(kind, name)
    checked = []
    with tqdm(total=len(bundles) * (1 + len(methods) * len(recipes)), unit="pair", disable=None) as bar:
        for bundle in bundles:
            checked.append(Checked(bundle, "", "", _faults(_check_alone, bundle) or ()))
            bar.update()
            for recipe in recipes:
                for method in methods:
                    draws = method == methods[0]  # once is enough: crops are the bundle's and the recipe's
                    faults = _faults(_check_pair, bundle, method, recipe, draws, pretext)
                    checked.append(Checked(bundle, method, recipe, faults or (), applies=faults is not None))
                    bar.update()
    return checked


def table(checked: Sequence[Checked]) -> list[str]:
    """Lines of a Markdown table: a row for each bundle and method, a column for each recipe; `-` is not checked, or not
    for the bundle's images.
    """
    recipes = list(dict.fromkeys(each.recipe for each in checked if each.recipe))
    rows = list(dict.fromkeys((each.bundle, each.method) for each in checked if each.method))
    by_pair = {(each.bundle, each.method, each.recipe): each for each in checked}
    alone = {each.bundle: each for each in checked if not each.method}
    cells = [["bundle", "method", *recipes], ["---"] * (2 + len(recipes))]
    for bundle in dict.fromkeys(each.bundle for each in checked):
        cells.append([bundle, "metadata, inference", _word(alone[bundle]), *["-"] * (len(recipes) - 1)])
        for _, method in (row for row in rows if row[0] == bundle):
            cells.append([bundle, method, *(_word(by_pair[bundle, method, recipe]) for recipe in recipes)])
    return [f"| {' | '.join(row)} |" for row in cells]


def _word(checked: Checked) -> str:
    if not checked.applies:
        return "-"
    return "FAULT" if checked.faults else "ok"


def _faults(examine: Callable[..., Iterator[str]], *arguments: Any) -> tuple[str, ...] | None:
    """What `examine` yields; what it raises is a fault too, and the last one that can be seen.

    None where a method is for other images than the bundle's.
    """
    faults: list[str] = []
    with _duplicates_refused():
        try:
            faults.extend(examine(*arguments))
        except Exception as fault:  # anything may be wrong in a configuration, and each is told
            while fault.__cause__ is not None and isinstance(fault.__cause__, Exception):
                fault = fault.__cause__
            if isinstance(fault, UserError) and fault.code == NOT_FOR_THESE:
                return None
            faults.append(f"{type(fault).__name__}: {' '.join(str(fault).split())}")
    return tuple(faults)


@contextmanager
def _duplicates_refused() -> Iterator[None]:
    """MONAI refuses a key that is given twice, instead of taking the last."""
    name = "MONAI_FAIL_ON_DUPLICATE_CONFIG"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _check_pair(bundle: str, method: str, recipe: str, draws: bool, pretext: str | None) -> Iterator[str]:
    overrides = {} if pretext is None else {"pretext": pretext}
    parser = compose(bundle, None if method == OWN else method, recipe, overrides=overrides).workflow().parser
    parser.parse(reset=True)
    yield from _check_entries(parser, TrainProperties)
    metadata = _metadata(bundle)
    patch = tuple(parser.get_parsed_content("patch_size"))
    with torch.device("meta"):
        stages = parser.get_parsed_content("plan")
        for planned in plan_of(stages, parser.get_parsed_content("steps")):
            method_of_stage = planned.stage.method()
            check_patch(patch, method_of_stage)
            for name, student in method_of_stage.students.items():
                (method_of_stage.optimiser(name) or planned.stage.optimiser)(student.parameters())
            planned.stage.schedule(0, planned.steps)
            for name, predictor in method_of_stage.predictors().items():
                yield from _check_network(f"predictor {name!r}", predictor, patch, metadata)
            if isinstance(method_of_stage, Pretext) and method_of_stage.restores:
                for name, student in method_of_stage.students.items():
                    yield from _check_restores(f"student {name!r} of the pretext", student, patch, metadata)
    if draws:
        yield from _check_crop(parser, patch, metadata)


def _check_alone(bundle: str) -> Iterator[str]:
    """What is rendered from the bundle's page: metadata, and `inference.yaml`, which stands for itself."""
    folder = find("bundle", bundle)
    assert folder is not None
    texts = rendered(folder)
    for name, text in texts.items():
        file = folder / name
        if file.is_file() and file.read_text(encoding="utf-8") != text:
            yield f"{name} is not what the bundle's parts say; render it anew, or change the parts"
    metadata = _metadata(bundle)
    missing = [name for name in _required(MetaProperties) if name.split(ID_SEP_KEY)[-1] not in metadata]
    if missing:
        yield f"metadata.json lacks {', '.join(missing)}"
    with TemporaryDirectory() as place:  # MONAI reads files alone
        written = Path(place) / "inference.yaml"
        written.write_text(texts["configs/inference.yaml"], encoding="utf-8")
        parser = ConfigParser(ConfigParser.load_config_file(str(written)))
    parser.parse(reset=True)
    yield from _check_entries(parser, InferProperties)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
        yield from _check_network("network_def", network, parser.get_parsed_content("patch_size"), metadata)


def _check_entries(parser: ConfigParser, properties: Properties) -> Iterator[str]:
    """Entries that MONAI requires, and that references lead to."""
    for name in _required(properties):
        if name not in parser:
            yield f"there is no entry {name!r}, which MONAI requires of a bundle"
    items = parser.ref_resolver.items
    for key, item in items.items():
        for wanted in ReferenceResolver.find_refs_in_config(item.get_config(), key):
            if wanted not in items:
                yield f"{key} refers to @{wanted}, which is not there"


def _check_network(name: str, network: nn.Module, patch: Sequence[int], metadata: dict[str, Any]) -> Iterator[str]:
    """Its output for one patch, in evaluation mode, against the metadata."""
    tensors = metadata["network_data_format"]
    channels, classes = (tensors[end][key]["num_channels"] for end, key in (("inputs", "image"), ("outputs", "pred")))
    logits = network.to("meta").eval()(torch.empty(1, channels, *patch, device="meta"))
    if tuple(logits.shape) != (1, classes, *patch):
        yield f"{name} gives {tuple(logits.shape)} for {channels} channels of {tuple(patch)}, not {classes} classes"


def _check_restores(name: str, network: nn.Module, patch: Sequence[int], metadata: dict[str, Any]) -> Iterator[str]:
    """Whether it gives an image for one patch, in evaluation mode."""
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    image = torch.empty(1, channels, *patch, device="meta")
    restored = network.to("meta").eval()(image)
    if restored.shape != image.shape:
        yield f"{name} gives {tuple(restored.shape)} for {channels} channels of {tuple(patch)}"


def _check_crop(parser: ConfigParser, patch: Sequence[int], metadata: dict[str, Any]) -> Iterator[str]:
    """All augmentation of some crops, each step of it with certainty."""
    channels = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    images, labels = torch.rand(DRAWS, channels, *patch), torch.zeros(DRAWS, *patch, dtype=torch.uint8)
    changed: tuple[torch.Tensor, torch.Tensor | None] = images, labels
    for name in ("spatial", "intensity"):
        chain = parser.get_parsed_content(f"train#{name}")
        if chain is None:
            continue
        check_chain(name, chain, patch)
        certain = chain.certain()
        drawn = [certain.draw(np.random.default_rng(draw), images.shape[1:]) for draw in range(DRAWS)]
        changed = (
            certain.apply(*changed, drawn) if name == "spatial" else (certain.apply(changed[0], drawn), changed[1])
        )
    for name, before, after in (("image", images, changed[0]), ("label", labels, changed[1])):
        if after is None or after.shape != before.shape:
            yield f"augmentation makes {name} {after and tuple(after.shape[1:])}, which was {tuple(before.shape[1:])}"


def _required(properties: Properties) -> list[str]:
    return [each[BundlePropertyConfig.ID] for each in properties.values() if each.get(BundleProperty.REQUIRED, False)]


def _metadata(bundle: str) -> dict[str, Any]:
    folder = find("bundle", bundle)
    assert folder is not None
    content: dict[str, Any] = json.loads(rendered(folder)["configs/metadata.json"])
    return content
