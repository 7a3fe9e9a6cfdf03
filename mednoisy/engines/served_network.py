"""Training from the network that a MONAI Label server serves, and putting the better of the two in its place."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.handlers import CheckpointLoader
from torch import nn

from mednoisy.engines.stages import Stage
from mednoisy.engines.validation import Validator
from mednoisy.files import written_aside
from mednoisy.losses.segmentation import DiceKind
from mednoisy.methods.supervised import Supervised
from mednoisy.notices import tell

LOGGER = logging.getLogger("mednoisy")
PREVIOUS, CANDIDATE = "previous.pt", "candidate.pt"  # beside the served network's weights


def next_run_folder(folder: Path | str) -> str:
    """`folder/N` for the first whole number N from 1 on from which on nothing is there."""
    folder = Path(folder)
    taken = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()] if folder.is_dir() else []
    return str(folder / str(max(taken, default=0) + 1))


def stages_for_studies(
    stages: Sequence[Stage], network: nn.Module, unlabeled: int, batch_size: int, dice: DiceKind
) -> list[Stage]:
    """The stages of a method; without unlabeled studies one that trains the deployed network on the labeled ones.

    Args:
        stages: of the method, whose networks `network` shares.
        network: what is served; of several students the mean.
        unlabeled: how many unlabeled studies there are.
        batch_size: labeled crops a step of the one that takes their place.
        dice: as of `Supervised`.
    """
    if unlabeled or not any(stage.unlabeled or stage.pseudo for stage in stages):
        return list(stages)
    tell("there is no unlabeled study: the network learns from the labeled ones alone")
    return [Stage("supervised", lambda: Supervised(network, dice), labeled=batch_size)]


def start_from_served(network: nn.Module, handlers: Sequence[Any]) -> str:
    """Load the weights that the server's checkpoint loader names into the network, before methods copy it; a line.

    The loader itself works when training starts, which is after a momentum teacher was copied. Without one
    (`pretrained` was not asked for) the network keeps its initial weights.
    """
    loaders = [handler for handler in handlers if isinstance(handler, CheckpointLoader)]
    for loader in loaders:
        network.load_state_dict(_weights(Path(loader.load_path)))
    return f"starting from {loaders[-1].load_path}" if loaders else "starting from initial weights"


def serve_the_better(network: nn.Module, served: Path | str, trained: Path | str, validator: Validator) -> str:
    """Put trained weights in the place of the served ones if their Dice on held-out studies is higher; a line.

    The served ones are kept as `previous.pt` beside them. What does not win, or cannot be compared because nothing is
    held out, is kept as `candidate.pt`. Each of these files changes in one step: whoever reads one meanwhile has the
    old or the new weights.

    Args:
        network: of the structure of both; its own weights stay.
        served, trained: files of weights.
        validator: of the held-out studies.
    """
    served, trained = Path(served), Path(trained)
    if not served.is_file():
        _put(trained, served)
        return f"{served} holds the first network"
    networks = {"served": _with_weights(network, served), "trained": _with_weights(network, trained)}
    dice = validator.scores(networks, nullcontext(), ("validation",)).get("validation", {})
    before, after = dice.get("served", math.nan), dice.get("trained", math.nan)
    if after > before:
        _put(served, served.with_name(PREVIOUS))
        _put(trained, served)
        return f"the trained network is served: Dice {after:.4f} on held-out studies, {before:.4f} before ({PREVIOUS})"
    _put(trained, served.with_name(CANDIDATE))
    if math.isnan(after) or math.isnan(before):
        why = "no labeled study is held out, so the two cannot be compared"
    else:
        why = f"Dice {after:.4f} on held-out studies is not above its {before:.4f}"
    return f"the network that is served stays: {why}; the trained one is kept as {CANDIDATE}"


def _with_weights(network: nn.Module, path: Path) -> nn.Module:
    loaded = deepcopy(network)
    loaded.load_state_dict(_weights(path))
    return loaded.eval()


def _weights(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content.get("model", content)


def _put(source: Path, place: Path) -> None:
    with written_aside(place) as aside:
        shutil.copyfile(source, aside)
