"""What the command line accepts: every command with its options and an example."""

from __future__ import annotations

import argparse
import math
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
  mednoisy compare runs/supervised runs/sdcl --output comparison.html
  mednoisy evaluate --predictions theirs --references labels --labels 1=atrium --output scores

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
    _add_compare(commands)
    _add_predict(commands)
    _add_report(commands)
    _add_study(commands)
    _add_prepare(commands)
    _add_check(commands)
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


def _add_dataset(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dataset", type=Path, metavar="FILE", help="overlay for other data, docs/tutorials/own_dataset.md"
    )


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
    train.add_argument("bundle", help="phantom, left_atrium, acdc, dermoscopy, polyp, or a bundle's folder")
    train.add_argument("--data", type=Path, required=True, help="folder of the prepared dataset (with datalist.json)")
    train.add_argument("--output", type=Path, required=True, help="folder of the run")
    _add_dataset(train)
    train.add_argument(
        "--method",
        help="supervised, copy_paste, mean_teacher, ua_mt, cps, fixmatch, unimatch, online_labels, offline_labels, "
        "noisy_student, bcp, sdcl, sdcl_plain, or an overlay's file",
    )
    train.add_argument("--recipe", default="default", help="default, strong, noisy, published, or an overlay's file")
    train.add_argument("--labeled", type=_count, help="how many of the labeled cases keep their label")
    train.add_argument("--validation", type=_number, help="cases of the unlabeled pool that choose the checkpoint")
    train.add_argument(
        "--pretrained", type=Path, metavar="FILE", help="ImageNet weights (torchvision, timm) to start from"
    )
    train.add_argument(
        "--teacher", type=Path, metavar="RUN", help="finished run that labels noisy_student's first round"
    )
    train.add_argument("--steps", type=_count, help="training steps over all stages")
    train.add_argument("--seed", type=_number, help="draws initial weights and training (default: 0)")
    _add_device(train)
    train.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    _add_set(train)


def _add_evaluate(commands) -> None:
    evaluate = _command(
        commands,
        "evaluate",
        "score a folder of label maps against references, or the checkpoints of a run again",
        "mednoisy evaluate --predictions theirs --references labels --labels 1=atrium --output scores\n"
        "  mednoisy evaluate runs/sdcl",
    )
    evaluate.add_argument("run", type=Path, nargs="?", help="folder of a finished run, to score it again")
    _add_device(evaluate)
    maps = evaluate.add_argument_group("label maps from anywhere (NIfTI, NRRD, MetaImage, HDF5, PNG, JPEG, BMP, TIFF)")
    maps.add_argument("--predictions", type=Path, metavar="DIR", help="folder of the label maps to be scored")
    maps.add_argument("--references", type=Path, metavar="DIR", help="folder of the references, paired by case id")
    maps.add_argument("--output", type=Path, metavar="DIR", help="folder of metrics.csv, summary.json and report.html")
    maps.add_argument("--images", type=Path, metavar="DIR", help="folder of the images, shown on the page")
    maps.add_argument("--labels", type=_label, nargs="+", metavar="CODE[=NAME]", help="classes (default: all found)")
    maps.add_argument("--map", type=_pair, nargs="+", metavar="OLD=NEW", help="replace codes first; 0 is background")
    maps.add_argument("--strip", nargs="+", default=[], metavar="ENDING", help="cut off names, such as _pred")
    maps.add_argument("--strict", action="store_true", help="refuse flipped or exchanged axes instead of turning them")
    maps.add_argument("--allow-missing", action="store_true", help="leave out cases that only one folder has")
    maps.add_argument("--tolerance", type=_length, metavar="MM", help="of NSD (default: 1)")
    maps.add_argument("--workers", type=_count, metavar="N", help="processes (default: one for each core)")


def _label(text: str) -> tuple[int, str]:
    code, _, name = text.partition("=")
    return _whole(code, least=1), name or f"class {code}"


def _pair(text: str) -> tuple[int, int]:
    old, equals, new = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return _whole(old, least=0), _whole(new, least=0)


def _length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no length from 0 on")
    return value


def _add_compare(commands) -> None:
    compare = _command(
        commands,
        "compare",
        "compare runs or evaluations case by case: differences, tests, ranking, one page",
        "mednoisy compare runs/supervised runs/sdcl --output comparison.html",
    )
    compare.add_argument("runs", type=Path, nargs="+", help="folders of two or more runs; the first is the baseline")
    compare.add_argument("--metric", default="dice", help="what the ranking and the tests go by (default: dice)")
    compare.add_argument("--output", type=Path, default=Path("comparison.html"), help="the page (default: %(default)s)")
    _add_table(compare)


def _add_table(command: argparse.ArgumentParser) -> None:
    command.add_argument("--table", choices=("markdown", "latex"), help="print the table of figures alone")


def _add_predict(commands) -> None:
    predict = _command(
        commands,
        "predict",
        "segment images with a run's best checkpoint, on their own grids",
        "mednoisy predict runs/sdcl scans/*.nii.gz --output predictions",
    )
    predict.add_argument("run", type=Path, help="folder of a finished run")
    predict.add_argument("images", type=Path, nargs="+", help="of the kind that the run was trained on")
    predict.add_argument("--output", type=Path, required=True, help="folder of the label maps (NIfTI; of pictures PNG)")
    _add_device(predict)


def _add_report(commands) -> None:
    report = _command(
        commands, "report", "make the page of a run or an evaluation again, from its files", "mednoisy report runs/sdcl"
    )
    report.add_argument("run", type=Path, help="folder of a finished run or of an evaluation")
    report.add_argument("--output", type=Path, help="the page (default: report.html in that folder)")
    _add_table(report)


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
    _add_dataset(study)
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
    prepare.add_argument("dataset", help="acdc, dermoscopy, left_atrium or polyp")
    prepare.add_argument("arguments", nargs=argparse.REMAINDER, help="of that dataset; see prepare DATASET --help")


def _add_check(commands) -> None:
    check = _command(
        commands,
        "check",
        "compose and build every bundle under every method and recipe, without data or training",
        "mednoisy check acdc --method sdcl bcp --recipe strong",
    )
    check.add_argument("bundles", nargs="*", metavar="BUNDLE", help="names or folders (default: all)")
    check.add_argument("--method", nargs="+", default=[], help="names or overlays' files (default: all)")
    check.add_argument("--recipe", nargs="+", default=[], help="names or overlays' files (default: all)")
