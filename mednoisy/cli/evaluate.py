"""`mednoisy evaluate`: the checkpoints of a run again, or label maps from anywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mednoisy.cli.arguments import (
    add_device,
    add_trust,
    count,
    device_entry,
    label,
    length,
    print_result,
    replaced_code,
)
from mednoisy.errors import DONE, DONE_IN_PART, UserError

HELP = "score a folder of label maps against references, or the checkpoints of a run again"
EXAMPLE = (
    "mednoisy evaluate --predictions theirs --references labels --labels 1=atrium --output scores\n"
    "  mednoisy evaluate runs/sdcl"
)
FOLDER_OPTIONS = (
    *("predictions", "references", "output", "images", "labels", "map", "ignore", "strip", "strict", "allow_missing"),
    *("tolerance", "workers"),
)  # where label maps are scored instead of a run


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("run", type=Path, nargs="?", help="folder of a finished run, to score it again")
    add_device(command)
    add_trust(command)
    maps = command.add_argument_group("label maps from anywhere (NIfTI, NRRD, MetaImage, HDF5, PNG, JPEG, BMP, TIFF)")
    maps.add_argument("--predictions", type=Path, metavar="DIR", help="folder of the label maps to be scored")
    maps.add_argument("--references", type=Path, metavar="DIR", help="folder of the references, paired by case id")
    maps.add_argument("--output", type=Path, metavar="DIR", help="folder of metrics.csv, summary.json and report.html")
    maps.add_argument("--images", type=Path, metavar="DIR", help="folder of the images, shown on the page")
    maps.add_argument("--labels", type=label, nargs="+", metavar="CODE[=NAME]", help="classes (default: all found)")
    maps.add_argument(
        "--map", type=replaced_code, nargs="+", metavar="OLD=NEW", help="replace codes first; 0 is background"
    )
    maps.add_argument(
        "--ignore", type=count, nargs="+", metavar="CODE", help="leave out voxels where the reference has such a code"
    )
    maps.add_argument("--strip", nargs="+", default=[], metavar="ENDING", help="cut off names, such as _pred")
    maps.add_argument("--strict", action="store_true", help="refuse flipped or exchanged axes instead of turning them")
    maps.add_argument("--allow-missing", action="store_true", help="leave out cases that only one folder has")
    maps.add_argument("--tolerance", type=length, metavar="MM", help="of NSD (default: 1)")
    maps.add_argument("--workers", type=count, metavar="N", help="processes (default: one for each core)")


def run(options: argparse.Namespace) -> int:
    """Score, report and print the figures; the exit code, 1 where cases could not be scored."""
    return _folders(options) if options.run is None else _run(options)


def _run(options: argparse.Namespace) -> int:
    given = [f"--{name.replace('_', '-')}" for name in FOLDER_OPTIONS if getattr(options, name)]
    if given:
        raise UserError("E113", f"{given[0]} does not go with a run", "Give a run alone, or folders alone")
    from mednoisy.cli.train import cross_validate
    from mednoisy.engines.run_folder import folds_of
    from mednoisy.runs.early_checks import check_composition
    from mednoisy.runs.resumed_run import resumed

    composition = resumed(options.run, overrides=device_entry(options.device), trust=options.trust)
    first = os.environ.get("RANK", "0") == "0"  # set by torchrun
    check_composition(composition, main=first)
    if folds := folds_of(options.run):
        return cross_validate(composition, len(folds), options.run, "evaluate")
    composition.run("evaluate")
    if first:
        print_result(options.run)
    return DONE


def _folders(options: argparse.Namespace) -> int:
    missing = [f"--{name}" for name in ("predictions", "references", "output") if getattr(options, name) is None]
    if missing:
        cure = "Give --predictions, --references and --output, or the folder of a run"
        raise UserError("E113", f"{' and '.join(missing)} missing", cure)
    from mednoisy.evaluation.folder_scoring import ScoringRules, evaluate_folders
    from mednoisy.report.run_page import write_report

    rules = ScoringRules(
        labels=None if options.labels is None else _once(options.labels, "--labels"),
        mapping=_once(options.map or (), "--map"),
        ignore=tuple(sorted(set(options.ignore or ()))),
        strict=options.strict,
        tolerance=1.0 if options.tolerance is None else options.tolerance,
    )
    faults = evaluate_folders(
        options.predictions, options.references, options.output, rules,
        images=options.images, strip=options.strip, allow_missing=options.allow_missing, workers=options.workers,
    )  # fmt: skip
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    write_report([options.output], options.output / "report.html")
    print_result(options.output)
    return DONE_IN_PART if faults else DONE


def _once(pairs: Sequence[tuple[int, Any]], option: str) -> dict[int, Any]:
    """Code to name or code; refuses a code that is given twice."""
    twice = [code for code, times in Counter(code for code, _ in pairs).items() if times > 1]
    if twice:
        raise UserError("E100", f"{option} names code {twice[0]} more than once", "Name each code once")
    return dict(pairs)
