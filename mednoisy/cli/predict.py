"""`mednoisy predict`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mednoisy.cli.arguments import add_device, add_trust, device_entry
from mednoisy.errors import DONE, DONE_IN_PART, REFUSED, UserError
from mednoisy.files import locked

HELP = "segment images with a run's best checkpoint, on their own grids"
EXAMPLE = "mednoisy predict runs/sdcl scans/*.nii.gz --output predictions"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("run", type=Path, help="folder of a finished run")
    command.add_argument("images", type=Path, nargs="+", help="of the kind that the run was trained on")
    command.add_argument("--output", type=Path, required=True, help="folder of the label maps (NIfTI; of pictures PNG)")
    command.add_argument(
        "--slices",
        type=int,
        choices=(0, 1, 2),
        help="axis along which slices are cut, for networks in 2D (default: that of the coarsest voxels)",
    )
    add_device(command)
    add_trust(command)


def run(options: argparse.Namespace) -> int:
    """Predict, print the paths of the label maps and what images are refused for; the exit code."""
    from mednoisy.early_checks import check_prediction

    overrides: dict[str, Any] = {**device_entry(options.device)}
    if options.slices is not None:
        overrides["slices"] = options.slices
    check_prediction(options.run, options.images, options.trust)
    from mednoisy.predict_with_run import predict_with_run

    faults: list[UserError] = []
    with locked(options.output):
        written = predict_with_run(
            options.run, options.images, options.output, overrides, options.trust, on_fault=faults.append
        )
    for path in written:
        print(path)
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    if not faults:
        return DONE
    return DONE_IN_PART if written else REFUSED
