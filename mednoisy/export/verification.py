"""An export opened again and compared with the run's network."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from mednoisy.errors import UserError
from mednoisy.export.deployed_run import DeployedRun
from mednoisy.export.frozen_bundle import MODEL

LOGGER = logging.getLogger("mednoisy")
TOLERANCE = 1e-4  # of logits of a random patch, times their largest; what other programs sum in another order


def largest_difference(run: DeployedRun, other: Callable[[Tensor], Tensor], patch: Tensor | None = None) -> float:
    """Between the logits of the run's network and another's, over the largest logit where that is above 1.

    Args:
        other: maps images to logits.
        patch: (B, C, *spatial); None for one of random values.
    """
    images = run.random_patch() if patch is None else patch
    with torch.inference_mode():
        wanted = run.network(images)
    with torch.no_grad():
        found = other(images)
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))


def checked_difference(run: DeployedRun, other: Callable[[Tensor], Tensor], path: Path) -> float:
    """`largest_difference`, for a file that is about to be given to somebody.

    Raises:
        UserError: E556, it is above `TOLERANCE`.
    """
    difference = largest_difference(run, other)
    if not difference <= TOLERANCE:  # NaN, too
        cause = f"{path.name} does not predict as the run does: logits differ by {difference:.2g}"
        raise UserError("E556", cause, "Nothing was written; export in another format, and report this")
    return difference


def same_at_another_size(run: DeployedRun, other: Callable[[Tensor], Tensor]) -> bool:
    """Whether another network predicts as the run's does where the first axis is twice as long, of another batch."""
    patch = run.random_patch(3, sizes=(2 * run.patch_size[0], *run.patch_size[1:]))
    try:
        return largest_difference(run, other, patch) <= TOLERANCE
    except Exception as fault:  # onnxruntime's have no class of their own in common
        LOGGER.info("the exported network is of one size: %s", fault)
        return False


def network_of_bundle(folder: Path) -> nn.Module:
    """The network of a bundle by its own configuration and weights, as MONAI builds it; of the training, too.

    Raises:
        RuntimeError: weights do not fit.
    """
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.yaml"))
    parser.read_meta(json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8")))
    parser["bundle_root"] = str(folder)
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / MODEL, weights_only=True))
    return network.eval()
