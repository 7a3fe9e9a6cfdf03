"""The command line: parses, calls, prints. Everything it does can be called from Python in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mednoisy import __version__
from mednoisy.errors import DONE, DONE_IN_PART, REFUSED, UserError

EXAMPLES = """examples:
  mednoisy demo --output demo
      make phantoms, train with 2 labels three ways, compare them on one page
  mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25
  mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl
  mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl --resume
  mednoisy report runs/supervised runs/sdcl --output comparison.html

exit codes: 0 done, 1 done in part (what failed is listed), 2 refused
"""


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="mednoisy",
        description="Label-efficient segmentation of medical images: few labels, many scans, one command.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"mednoisy {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_report(commands)
    _add_study(commands)
    _add_prepare(commands)
    return top


def _command(commands, name: str, does: str, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_demo(commands) -> None:
    demo = _command(commands, "demo", "train on phantoms and compare methods on one page", "mednoisy demo --output demo")
    demo.add_argument("--output", type=Path, default=Path("demo"), help="folder of the demo (default: %(default)s)")
    demo.add_argument("--steps", type=int, default=600, help="training steps of each run (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="draws phantoms and training (default: %(default)s)")
    demo.set_defaults(function=_demo)


def _add_train(commands) -> None:
    train = _command(
        commands,
        "train",
        "train a bundle's networks by a method, evaluate and report",
        "mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl",
    )
    train.add_argument("bundle", help="name of a bundle (phantom, left_atrium), or its folder")
    train.add_argument("--data", type=Path, required=True, help="folder of the prepared dataset (with datalist.json)")
    train.add_argument("--output", type=Path, required=True, help="folder of the run")
    train.add_argument("--method", help="supervised, copy_paste, mean_teacher, bcp, sdcl, or an overlay's file")
    train.add_argument("--recipe", default="default", help="default, strong, published, or an overlay's file")
    train.add_argument("--labeled", type=int, help="how many of the labeled cases keep their label")
    train.add_argument("--validation", type=int, help="cases of the unlabeled pool that choose the checkpoint instead")
    train.add_argument("--steps", type=int, help="training steps over all stages")
    train.add_argument("--seed", type=int, help="draws initial weights and training (default: 0)")
    train.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")
    train.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    train.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="replace an entry of the config")
    train.set_defaults(function=_train)


def _add_evaluate(commands) -> None:
    evaluate = _command(
        commands, "evaluate", "score the checkpoints of a run again and report", "mednoisy evaluate runs/sdcl"
    )
    evaluate.add_argument("run", type=Path, help="folder of a finished run")
    evaluate.set_defaults(function=_evaluate)


def _add_predict(commands) -> None:
    predict = _command(
        commands,
        "predict",
        "segment images with a run's best checkpoint, on their own grids",
        "mednoisy predict runs/sdcl scans/*.nii.gz --output predictions",
    )
    predict.add_argument("run", type=Path, help="folder of a finished run")
    predict.add_argument("images", type=Path, nargs="+", help="NIfTI or HDF5 files")
    predict.add_argument("--output", type=Path, required=True, help="folder of the label maps (NIfTI)")
    predict.set_defaults(function=_predict)


def _add_report(commands) -> None:
    report = _command(
        commands, "report", "make one page of one or several runs", "mednoisy report runs/a runs/b --output page.html"
    )
    report.add_argument("runs", type=Path, nargs="+", help="folders of finished runs; the first is the baseline")
    report.add_argument("--output", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")
    report.set_defaults(function=_report)


def _add_study(commands) -> None:
    study = _command(
        commands,
        "study",
        "run a grid of methods, labels and seeds; one table",
        "mednoisy study left_atrium --data data/left_atrium --methods supervised supervised:strong sdcl:strong "
        "--labeled 4 8 --seeds 0 1 2 --steps 2000 --output studies/left_atrium",
    )
    study.add_argument("bundle", help="name of a bundle, or its folder")
    study.add_argument("--data", type=Path, required=True, help="folder of the prepared dataset")
    study.add_argument("--output", type=Path, required=True, help="folder of the study")
    study.add_argument("--methods", nargs="+", required=True, metavar="METHOD[:RECIPE]", help="rows of the table")
    study.add_argument("--labeled", nargs="+", type=int, required=True, help="numbers of labeled cases")
    study.add_argument("--seeds", nargs="+", type=int, default=[0], help="(default: 0)")
    study.add_argument("--steps", type=int, required=True, help="training steps of each run")
    study.add_argument("--validation", type=int, help="cases of the unlabeled pool that choose checkpoints instead")
    study.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="replace an entry of the config")
    study.set_defaults(function=_study)


def _add_prepare(commands) -> None:
    prepare = _command(
        commands,
        "prepare",
        "turn a published dataset's files into a prepared dataset",
        "mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25",
    )
    prepare.add_argument("dataset", help="left_atrium")
    prepare.add_argument("arguments", nargs=argparse.REMAINDER, help="of that dataset; see prepare DATASET --help")
    prepare.set_defaults(function=_prepare)


def _demo(options: argparse.Namespace) -> int:
    from mednoisy.demo import run_demo

    page = run_demo(options.output, steps=options.steps, seed=options.seed)
    print(f"report: {page}")
    print("next: open it in a browser, then see docs/own_data.md and `mednoisy train --help`")
    return DONE


def _train(options: argparse.Namespace) -> int:
    from mednoisy.composition import checked_path, compose, parse_setting

    overrides = {
        "dataset_dir": checked_path(options.data, "--data"),
        "output_dir": checked_path(options.output, "--output"),
        "model_file": str(Path(checked_path(options.output, "--output")) / "models" / "model.pt"),
    }
    for name in ("labeled", "validation", "steps", "seed"):
        if getattr(options, name) is not None:
            overrides[name] = getattr(options, name)
    if options.device:
        overrides["device"] = f"$torch.device({options.device!r})"
    if options.resume:
        overrides["resume"] = True
    overrides |= dict(parse_setting(text) for text in options.set)
    composition = compose(options.bundle, options.method, options.recipe, overrides=overrides)
    print(composition.command, flush=True)
    composition.run()
    print(f"report: {options.output / 'report.html'}")
    return DONE


def _evaluate(options: argparse.Namespace) -> int:
    from mednoisy.composition import of_run

    of_run(options.run).run("evaluate")
    print(f"report: {options.run / 'report.html'}")
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from mednoisy.composition import predict_with_run

    written = predict_with_run(options.run, options.images, options.output)
    for path in written:
        print(path)
    return DONE


def _report(options: argparse.Namespace) -> int:
    from mednoisy.report.page import write_report

    write_report(options.runs, options.output)
    print(options.output)
    return DONE


def _study(options: argparse.Namespace) -> int:
    from mednoisy.composition import parse_setting
    from mednoisy.study import Study

    study = Study(
        bundle=options.bundle,
        data=options.data,
        output=options.output,
        methods=options.methods,
        labeled=options.labeled,
        seeds=options.seeds,
        steps=options.steps,
        validation=options.validation,
        settings=dict(parse_setting(text) for text in options.set),
    )
    failed = study.run()
    print(study.table_file)
    return DONE_IN_PART if failed else DONE


def _prepare(options: argparse.Namespace) -> int:
    from importlib import import_module

    from mednoisy.composition import prepared_datasets
    from mednoisy.errors import did_you_mean

    if options.dataset not in prepared_datasets():
        raise UserError("E101", f"unknown dataset {options.dataset!r}", did_you_mean(options.dataset, prepared_datasets()))
    return import_module(f"mednoisy.data_prep.{options.dataset}").main(options.arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 done in part, 2 refused.
    """
    options = parser().parse_args(arguments)
    try:
        return options.function(options)
    except UserError as fault:
        print(f"mednoisy: {fault}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        print("mednoisy: interrupted", file=sys.stderr)
        return REFUSED if options.command == "report" else DONE_IN_PART


if __name__ == "__main__":
    sys.exit(main())
