"""`mednoisy label`: an annotation server for 3D Slicer and OHIF."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mednoisy.argument_parser import minutes
from mednoisy.cli.arguments import (
    BUNDLE_FOLDERS,
    add_dataset,
    add_device,
    add_set,
    add_trust,
    check_given,
    count,
    device_entry,
    number,
    or_path,
)
from mednoisy.cli.query import STRATEGIES
from mednoisy.errors import DONE, UserError

if TYPE_CHECKING:
    from mednoisy.monai_label.workplace import Settings

HELP = "serve a folder of studies to 3D Slicer and OHIF: predict, learn from labels, ask for what teaches most"
EXAMPLE = (
    "mednoisy label --bundle left_atrium --studies scans --method sdcl --port 8000\n"
    "  mednoisy label --studies scans --back"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known
    from mednoisy.composition.stacking import pretexts

    command.add_argument("--studies", type=Path, required=True, help="folder of scans; labels and all else go below it")
    command.add_argument("--bundle", help=or_path(known("bundle"), BUNDLE_FOLDERS))
    command.add_argument("--method", help=or_path(known("method"), "an overlay's file"))
    command.add_argument("--recipe", help=or_path(known("recipe"), "an overlay's file"))
    add_dataset(command)
    command.add_argument("--steps", type=count, help="training steps of each round")
    command.add_argument("--folds", type=count, help="networks of each round while labels are few (default: 3)")
    command.add_argument("--seed", type=number, default=0, help="of all that is random (default: 0)")
    command.add_argument(
        "--strategy", default="uncertain_and_different", metavar="NAME",
        help="ranks studies after each round, of those of mednoisy query (default: %(default)s)",
    )  # fmt: skip
    command.add_argument("--batch", type=count, default=10, help="how many studies are ranked at once (default: 10)")
    command.add_argument("--pretext", metavar="NAME", help=f"learned before the first label: {', '.join(pretexts())}")
    command.add_argument(
        "--features-of", type=Path, metavar="RUN", help="finished run by whose features the first studies are chosen"
    )
    command.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    command.add_argument("--port", type=count, default=8000, help="(default: 8000)")
    command.add_argument(
        "--lease", type=minutes, default=60.0, metavar="MINUTES", help="how long a study is a client's"
    )
    command.add_argument("--upload-mb", type=count, default=2048, metavar="MB", help="largest upload (default: 2048)")
    command.add_argument(
        "--keep-rounds", type=count, default=3, metavar="N",
        help="newest rounds that stay, with the one that serves and the one before it; older ones are removed "
        "(default: 3)",
    )  # fmt: skip
    command.add_argument("--back", action="store_true", help="let the network before serve again, and end")
    add_device(command)
    add_trust(command, "a run")
    add_set(command)


def run(options: argparse.Namespace) -> int:
    """Check everything, then become the server; with --back the exit code."""
    from mednoisy.monai_label.start import check_classes, check_installed, check_port, checked_place, serve

    place = checked_place(options.studies)
    if options.back:
        from mednoisy.monai_label.deployment import take_back

        print(take_back(place).reason)
        return DONE
    check_given({"--bundle": options.bundle}, "label")
    settings = _settings(options)
    check_classes(place, settings)
    check_installed()
    check_port(options.host, options.port)
    serve(place, settings, options.host, options.port)


def _settings(options: argparse.Namespace) -> Settings:
    """What is asked for, checked as a training would check it."""
    from mednoisy.composition import checked_path, compose, dataset_of, parse_setting
    from mednoisy.composition.stacking import pretexts
    from mednoisy.errors import did_you_mean
    from mednoisy.monai_label.workplace import Settings

    if options.strategy not in STRATEGIES:
        raise UserError("E395", f"unknown strategy {options.strategy!r}", did_you_mean(options.strategy, STRATEGIES))
    if options.pretext is not None and options.pretext not in pretexts():
        raise UserError("E501", f"unknown pretext {options.pretext!r}", did_you_mean(options.pretext, pretexts()))
    if options.folds is not None and options.folds < 2:
        cause = f"{options.folds} folds are asked for; every one holds out a part of the labels and trains on others"
        raise UserError("E370", cause, "Ask for 2 or more")
    device_entry(options.device)
    overrides = dict(parse_setting(text) for text in options.set)
    composition = compose(options.bundle, options.method, options.recipe or "default", (), overrides, options.dataset)
    composition.check_overrides()
    names = overrides.get("label_names", composition.config.get("label_names"))
    if not isinstance(names, list):
        raise UserError("E589", f"{options.bundle} names no classes", "Give label_names in its dataset.yaml")
    if options.features_of is not None:
        from mednoisy.evaluation.read_finished_run import read_finished_run

        read_finished_run(options.features_of)
    bundle = (
        options.bundle
        if dataset_of(options.bundle) is None and not Path(options.bundle).is_dir()
        else str(Path(options.bundle).resolve())
    )
    return Settings(
        bundle, tuple(str(name) for name in names), _kept("method", options.method), _kept("recipe", options.recipe),
        None if options.dataset is None else checked_path(options.dataset, "--dataset"), options.steps, options.seed,
        options.folds, options.strategy, options.batch, options.pretext,
        None if options.features_of is None else checked_path(options.features_of, "--features-of"), tuple(options.set),
        options.device, options.lease, options.upload_mb, options.trust, keep_rounds=options.keep_rounds,
    )  # fmt: skip


def _kept(kind: str, name: str | None) -> str | None:
    """A method or recipe as a round finds it that begins later and in another folder: a file by its whole path.

    Raises:
        UserError: E104, a path that no configuration can hold.
    """
    from mednoisy.composition import checked_path
    from mednoisy.composition.catalogue import bundles_folder, find

    path = None if name is None else find(kind, name)
    if path is None or path.parent == (bundles_folder() / f"{kind}s").resolve():
        return name
    return checked_path(path, f"--{kind}")
