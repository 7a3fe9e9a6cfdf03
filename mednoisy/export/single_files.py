"""A deployed network as one file that other programs open: TorchScript and ONNX."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mednoisy.errors import UserError
from mednoisy.export.deployed_run import DeployedRun

FACTS = "mednoisy.json"  # in the file: what the network takes and gives
OPSET = 17  # of 2022, which has all that the networks do
ERRORS = 3  # of onnxruntime's severities: it warns of constants that it folds


def facts_of(run: DeployedRun) -> str:
    """JSON of what a program must know to call the network."""
    facts = {"labels": list(run.label_names), "channels": run.channels, "patch_size": list(run.patch_size)}
    return json.dumps({**facts, "output": "logits", "dataset": run.summary.facts.get("dataset")})


def write_torchscript(run: DeployedRun, path: Path) -> str | None:
    """Write the network as TorchScript, which `torch.jit.load` opens without mednoisy.

    Logits (B, K, *spatial) of images (B, C, *spatial), of any number and of all sizes that the network takes. The file
    holds `mednoisy.json` besides, for `_extra_files`.

    Returns:
        None; of a network whose program TorchScript cannot say, why not: what it did with one patch was written then,
        which may be wrong for another size.

    Raises:
        UserError: E554, as `no_torchscript`: that cannot be written either.
    """
    why = None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        try:
            written: Any = torch.jit.script(run.network)
        except (RuntimeError, torch.jit.frontend.NotSupportedError) as fault:
            why = next(filter(None, map(str.strip, str(fault).splitlines())), type(fault).__name__)
            warnings.simplefilter("ignore")  # of what a trace takes for constant
            try:
                written = torch.jit.trace(run.network, run.random_patch(2), check_trace=False)
            except RuntimeError as untraced:
                raise no_torchscript(run, why) from untraced
        torch.jit.save(written, str(path), _extra_files={FACTS: facts_of(run)})
    return why


def no_torchscript(run: DeployedRun, why: str) -> UserError:
    """TorchScript cannot say what the network does (E554)."""
    cause = f"the network {type(run.network).__name__} has no TorchScript ({why})"
    return UserError("E554", cause, "Export it --for onnx or monai-label")


def open_torchscript(path: Path) -> nn.Module:
    """The network of such a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        network: nn.Module = torch.jit.load(str(path))
    return network.eval()


def write_onnx(run: DeployedRun, path: Path, *, any_size: bool) -> None:
    """Write the network as ONNX: `image` (B, C, *spatial) to `logits` (B, K, *spatial), any B.

    By PyTorch's exporter of traces: that of whole programs took minutes for networks that check their sizes.

    Args:
        any_size: whether the spatial axes are of any size, too; else they are the patch's.
    """
    import onnx

    names = {
        0: "batch",
        **({axis: f"side_{axis - 2}" for axis in range(2, 2 + len(run.patch_size))} if any_size else {}),
    }
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of what a trace takes for constant: the file is compared at another size
        torch.onnx.export(
            run.network,
            (run.random_patch(2),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": names, "logits": names},
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {FACTS: facts_of(run)})
    onnx.save(model, str(path))


def open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The network of such a file, on the CPU."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(ERRORS)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"image": images.numpy()})[0])
