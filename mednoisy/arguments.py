"""What the command line accepts: every command with its options and an example."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from mednoisy import __version__
from mednoisy.errors import UserError

EXAMPLES = """examples:
  mednoisy demo --output demo
      make phantoms, train with 2 labels three ways, compare them on one page
  mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25
  mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl
  mednoisy train left_atrium --data data/left_atrium --method sdcl --labeled 8 --output runs/sdcl --resume
  mednoisy report runs/supervised runs/sdcl --output comparison.html

exit codes: 0 done, 1 done in part (what failed is listed), 2 refused
"""


class Parser(argparse.ArgumentParser):
    """Refuses arguments as everything else is refused: in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError E100."""
        raise UserError("E100", message.replace("\n", " "), f"See {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(
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


def _count(text: str) -> int:
    return _whole(text, least=1)


def _number(text: str) -> int:
    return _whole(text, least=0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
    return int(text)


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="replace a config's entry")


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")


def _add_demo(commands) -> None:
    demo = _command(commands, "demo", "train on phantoms, compare methods on one page", "mednoisy demo --output demo")
    demo.add_argument("--output", type=Path, default=Path("demo"), help="folder of the demo (default: %(default)s)")
    demo.add_argument("--steps", type=_count, default=600, help="training steps of each run (default: %(default)s)")
    demo.add_argument("--seed", type=_number, default=0, help="draws phantoms and training (default: %(default)s)")


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
    train.add_argument(
        "--method", help="supervised, copy_paste, mean_teacher, bcp, sdcl, sdcl_plain, or an overlay's file"
    )
    train.add_argument("--recipe", default="default", help="default, strong, published, or an overlay's file")
    train.add_argument("--labeled", type=_count, help="how many of the labeled cases keep their label")
    train.add_argument("--validation", type=_number, help="cases of the unlabeled pool that choose the checkpoint")
    train.add_argument("--steps", type=_count, help="training steps over all stages")
    train.add_argument("--seed", type=_number, help="draws initial weights and training (default: 0)")
    _add_device(train)
    train.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    _add_set(train)


def _add_evaluate(commands) -> None:
    evaluate = _command(
        commands, "evaluate", "score the checkpoints of a run again and report", "mednoisy evaluate runs/sdcl"
    )
    evaluate.add_argument("run", type=Path, help="folder of a finished run")
    _add_device(evaluate)


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
    _add_device(predict)


def _add_report(commands) -> None:
    report = _command(
        commands, "report", "make one page of one or several runs", "mednoisy report runs/a runs/b --output page.html"
    )
    report.add_argument("runs", type=Path, nargs="+", help="folders of finished runs; the first is the baseline")
    report.add_argument("--output", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")


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
    study.add_argument("--labeled", nargs="+", type=_count, required=True, help="numbers of labeled cases")
    study.add_argument("--seeds", nargs="+", type=_number, default=[0], help="(default: 0)")
    study.add_argument("--steps", type=_count, required=True, help="training steps of each run")
    study.add_argument("--validation", type=_number, help="cases of the unlabeled pool that choose checkpoints")
    _add_set(study)


def _add_prepare(commands) -> None:
    prepare = _command(
        commands,
        "prepare",
        "turn a published dataset's files into a prepared dataset",
        "mednoisy prepare left_atrium RAW data/left_atrium --spacing 1.25",
    )
    prepare.add_argument("dataset", help="left_atrium")
    prepare.add_argument("arguments", nargs=argparse.REMAINDER, help="of that dataset; see prepare DATASET --help")
