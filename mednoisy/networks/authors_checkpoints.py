"""The authors' checkpoints of UA-MT, BCP and SDCL, read into the networks of this package."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from mednoisy.errors import UserError
from mednoisy.networks.weight_files import read_state_dict

# What the authors' classes carry without using it.
_HEADS = re.compile(r"(projection_head|prediction_head|contrastive_class_selector_\w+)\.")
_PLAIN_ENCODER = re.compile(r"block_(one|two|three|four|five)(_dw)?\.")  # inside ResVNet, beside its residual encoder


def load_published(network: nn.Module, file: Path | str) -> None:
    """Copy the weights of a checkpoint by the authors of UA-MT, BCP or SDCL into `network`.

    Reads a bare state dict or one under `net` or `state_dict` (an optimiser or epoch beside it is left alone), with
    or without the prefix `module.` that DataParallel adds. Entries are matched by order and shape; those that the
    authors' classes carry without using are skipped. `network` is changed only if everything matched.

    Raises:
        UserError: E340 the file is missing or unreadable, E341 it holds no state dict, E342 it does not match.
    """
    entries = read_state_dict(Path(file), "Give a checkpoint released with UA-MT, BCP or SDCL")
    names = {name.removeprefix("module."): name for name in entries}
    kept = {name: entries[names[name]] for name in used_keys(names)}
    own = network.state_dict()
    for position, ((name, value), (target, wanted)) in enumerate(zip(kept.items(), own.items(), strict=False), start=1):
        if value.shape != wanted.shape:
            given, expected = list(value.shape), list(wanted.shape)
            raise _mismatch(file, network, f"entry {position} {name!r} is {given}, {target!r} needs {expected}")
    if len(kept) != len(own):
        raise _mismatch(file, network, f"it has {len(kept)} entries in use, the network {len(own)}")
    network.load_state_dict(dict(zip(own, kept.values(), strict=True)))


def used_keys(keys: Iterable[str]) -> list[str]:
    """Those of the authors' state-dict keys (without `module.`) that their logits depend on, in order.

    Left out: projection, prediction and class-selector heads; the plain encoder that ResVNet inherits.
    """
    keys = list(keys)
    unused = [_HEADS]
    if any(key.startswith("resencoder.") for key in keys):
        unused.append(_PLAIN_ENCODER)
    return [key for key in keys if not any(pattern.match(key) for pattern in unused)]


def _mismatch(file: Path | str, network: nn.Module, cause: str) -> UserError:
    cure = "Build the network that the checkpoint was saved from (class, width, norm, channels, classes)"
    return UserError("E342", f"checkpoint {file} does not fit {type(network).__name__}: {cause}", cure)
