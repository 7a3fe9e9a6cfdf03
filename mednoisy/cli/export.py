"""`mednoisy export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mednoisy.cli.arguments import add_trust
from mednoisy.errors import DONE

HELP = "write what a run deploys for other programs, open it again and compare"
KINDS = ("torchscript", "onnx", "zoo", "monai-label")
EXAMPLE = "mednoisy export runs/sdcl atrium --for monai-label\n  mednoisy export runs/sdcl atrium.onnx --for onnx"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("run", type=Path, help="folder of a finished run; of a cross-validated one all its networks")
    command.add_argument(
        "output", type=Path, metavar="OUT", help="file to write (.ts, .onnx, .zip), for monai-label a folder"
    )
    command.add_argument(
        "--for", dest="kind", required=True, choices=KINDS,
        help="one file of the network, a bundle as MONAI's zoo has it, or one for MONAI Label's monaibundle app",
    )  # fmt: skip
    command.add_argument("--url", help="where the weights are, or will be, published; for zoo, whose tools fetch them")
    add_trust(command)


def run(options: argparse.Namespace) -> int:
    """Write, verify, print the path and the largest difference; the exit code."""
    from mednoisy.composition import of_run
    from mednoisy.export.check import check_export

    check_export(options.output, options.kind, options.url)
    of_run(options.run, trust=options.trust)
    from mednoisy.export.export_run import export_run

    exported = export_run(options.run, options.output, options.kind, trust=options.trust, url=options.url)
    print(exported.path)
    print(f"opened again: logits of a random patch differ by {exported.difference:.1e} at most")
    return DONE
