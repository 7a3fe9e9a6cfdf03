"""A deployed network as one file that other programs open: TorchScript and ONNX."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch import nn

from mednoisy.errors import UserError
from mednoisy.export.deployed_run import DeployedRun

FACTS = "mednoisy.json"  # in the file: what the network takes and gives


def facts_of(run: DeployedRun) -> str:
    """JSON of what a program must know to call the network."""
    facts = {"labels": list(run.label_names), "channels": run.channels, "patch_size": list(run.patch_size)}
    return json.dumps({**facts, "output": "logits", "dataset": run.summary.facts.get("dataset")})


def write_torchscript(run: DeployedRun, path: Path) -> None:
    """Write the network as TorchScript, which `torch.jit.load` opens without mednoisy.

    Logits (B, K, *spatial) of images (B, C, *spatial), of any number and of all sizes that the network takes. The file
    holds `mednoisy.json` besides, for `_extra_files`.

    Raises:
        UserError: E554, TorchScript cannot say what the network does.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        try:
            scripted = torch.jit.script(run.network)
        except (RuntimeError, torch.jit.frontend.NotSupportedError) as fault:
            cause = f"the network {type(run.network).__name__} has no TorchScript ({str(fault).splitlines()[0]})"
            raise UserError("E554", cause, "Export it --for onnx or monai-label") from fault
        torch.jit.save(scripted, str(path), _extra_files={FACTS: facts_of(run)})


def open_torchscript(path: Path) -> nn.Module:
    """The network of such a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        network: nn.Module = torch.jit.load(str(path))
    return network.eval()
