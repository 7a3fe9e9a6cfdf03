"""`mednoisy train`: a new run, or one that goes on."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mednoisy.cli.arguments import (
    BUNDLE_FOLDERS,
    DATA_HELP,
    add_dataset,
    add_device,
    add_set,
    add_trust,
    check_given,
    count,
    device_entry,
    given_or_own_data,
    number,
    or_path,
    print_result,
)
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import DONE, DONE_IN_PART, UserError

if TYPE_CHECKING:
    from mednoisy.composition import Composition

COLOURS = "colorization"  # the pretext that gray pictures teach nothing
HELP = "train a bundle's networks by a method, evaluate and report"
EXAMPLE = (
    "mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl\n"
    "  mednoisy train data/mine --method sdcl --recipe strong --folds 4 --output runs/mine\n"
    "  mednoisy train --resume runs/sdcl"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known
    from mednoisy.composition.stacking import pretexts

    command.add_argument(
        "bundle",
        nargs="?",
        help=f"{or_path(known('bundle'), BUNDLE_FOLDERS)}; with --resume alone, the folder of the run",
    )
    command.add_argument("--data", type=Path, help=DATA_HELP)
    command.add_argument("--output", type=Path, help="folder of the run")
    add_dataset(command)
    command.add_argument("--method", help=or_path(known("method"), "an overlay's file"))
    command.add_argument("--recipe", help=or_path(known("recipe"), "an overlay's file"))
    command.add_argument("--labeled", type=count, help="how many of the labeled cases keep their label")
    command.add_argument("--validation", type=number, help="cases of the unlabeled pool that choose the checkpoint")
    command.add_argument(
        "--folds", type=count, help="train so many networks, each with its part of the labeled patients held out"
    )
    command.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="weights to start from: a run's, or ImageNet's (torchvision, timm)",
    )
    command.add_argument(
        "--teacher", type=Path, metavar="RUN", help="finished run that labels noisy_student's first round"
    )
    command.add_argument("--pretext", metavar="NAME", help=f"a stage before, without labels: {', '.join(pretexts())}")
    command.add_argument(
        "--pretext-from", type=Path, metavar="RUN", help="run with a finished pretext whose encoder to start from"
    )
    command.add_argument("--skip-gray", action="store_true", help=f"leave gray pictures out of the pretext {COLOURS}")
    command.add_argument("--steps", type=count, help="training steps over all stages")
    command.add_argument("--seed", type=number, help="draws initial weights and training (default: 0)")
    add_device(command)
    command.add_argument(
        "--resume", action="store_true", help="go on with the run in a folder; --data if the dataset has moved"
    )
    add_trust(command, "the folder that --resume or --teacher names")
    add_set(command)


def run(options: argparse.Namespace) -> int:
    """Train, evaluate, report and print the figures; the exit code."""
    from mednoisy.runs.early_checks import check_composition

    by_folder = options.resume and options.output is None
    composition = _resumed(options) if by_folder else _composed(options)
    output = Path(options.bundle) if by_folder else options.output
    folds = options.folds or (len(folds_of(output)) if by_folder else 0) or None
    first = os.environ.get("RANK", "0") == "0"
    if folds is not None:
        _check_options_of_folds(options, composition)
    _check_skip_gray(options, composition)
    check_composition(composition, main=first, folds=folds)
    if folds is not None:
        return cross_validate(composition, folds, output)
    if first:
        print(composition.command, flush=True)
    composition.run()
    if first:
        print_result(output)
    return DONE


def cross_validate(composition: Composition, folds: int, output: Path, run_id: str = "run") -> int:
    """Train or score folds, print the figures and which unlabeled images are refused; the exit code."""
    from mednoisy.runs.cross_validation import CrossValidation

    faults: list[UserError] = []
    CrossValidation(composition, folds, on_fault=faults.append).run(run_id)
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    print_result(output)
    return DONE_IN_PART if faults else DONE


def _check_options_of_folds(options: argparse.Namespace, composition: Composition) -> None:
    """Refuse what a cross-validated run has no use for, or cannot do."""
    if options.validation:
        cure = "Drop --validation: the last checkpoint of each fold counts, and nothing is chosen"
        raise UserError("E113", "--validation does not go with --folds", cure)
    if "fold" in composition.overrides:
        raise UserError("E113", "--set fold=... does not go with --folds", "Drop one of the two")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # set by torchrun
        cause = "several processes cannot train folds together"
        first = f"--set fold=[0,{options.folds or len(folds_of(Path(options.bundle)))}]"
        raise UserError("E372", cause, f"Call without torchrun, or train each fold alone: {first}")


def _check_skip_gray(options: argparse.Namespace, composition: Composition) -> None:
    """Refuse --skip-gray where nothing learns from colours."""
    config = composition.config | dict(composition.overrides)
    if options.skip_gray and COLOURS not in (config.get("method_name"), config.get("pretext")):
        cause = f"--skip-gray does not go without the pretext {COLOURS}"
        raise UserError("E113", cause, f"Drop it, or give --pretext {COLOURS}")


def _composed(options: argparse.Namespace) -> Composition:
    """The run of a bundle under a method and a recipe."""
    from mednoisy.composition import checked_path, compose
    from mednoisy.runs.early_checks import with_numbers_that_fit

    data = given_or_own_data(options)
    check_given({"bundle": options.bundle, "--data": data, "--output": options.output}, "train")
    assert data is not None  # as just checked
    output = checked_path(options.output, "--output")
    places: dict[str, Any] = {
        "dataset_dir": checked_path(data, "--data"),
        "output_dir": output,
        "model_file": str(Path(output) / "models" / "model.pt"),
    }
    if options.resume or _started_again(Path(output)):
        places["resume"] = True
    configs = ("multi_gpu",) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else ()  # set by torchrun
    overrides = places | _entries(options)
    recipe = options.recipe or "default"
    composition = compose(options.bundle, options.method, recipe, configs, overrides, options.dataset)
    return with_numbers_that_fit(composition)


def _started_again(output: Path) -> bool:
    """Whether torchrun's `--max-restarts` started this process in place of one that died in the midst of its run."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0 and (output / "run.json").is_file()


def _resumed(options: argparse.Namespace) -> Composition:
    """The run of a folder, from what is kept in it."""
    from mednoisy.runs.resumed_run import resumed

    check_given({"bundle": options.bundle}, "train")
    for name in ("method", "recipe", "dataset"):
        if getattr(options, name) is not None:
            cause = f"--{name} does not go with the folder of a run alone, which has its own"
            raise UserError("E113", cause, f"Drop --{name}, or give the bundle, --data and --output as well")
    return resumed(options.bundle, options.data, _entries(options), options.trust)


def _entries(options: argparse.Namespace) -> dict[str, Any]:
    """The entries of the configuration that options stand for."""
    from mednoisy.composition import checked_path, parse_setting

    names = ("labeled", "validation", "steps", "seed", "pretext")
    entries = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.folds is not None:
        entries["validation"] = 0  # whatever the bundle takes: nothing is chosen
    if options.pretrained is not None:
        entries["pretrained"] = checked_path(options.pretrained, "--pretrained")
    if options.teacher is not None:
        entries["teacher_run"] = checked_path(options.teacher, "--teacher")
        if options.trust:
            entries["trust_teacher"] = True
    if options.pretext_from is not None:
        entries["pretext_from"] = checked_path(options.pretext_from, "--pretext-from")
    if options.skip_gray:
        entries["skip_gray"] = True
    return entries | device_entry(options.device) | dict(parse_setting(text) for text in options.set)
