"""Images and labels of your own, however they are called, made a dataset.

    mednoisy prepare own --images scans --labels masks --output data/mine

Each side is a folder, files or a glob; `--from FOLDER` takes a Decathlon dataset.json, nnU-Net's raw folder, or a
folder of images/ and labels/. Names pair by what they share. OUT receives images/, labels/ and datalist.json: what
has a label is labeled, the rest unlabeled; and bundle/, configured for them and for this machine. A second run does
nothing, one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mednoisy.argument_parser import Parser, add_networks, minutes
from mednoisy.data.datalist import Datalist
from mednoisy.errors import DONE, DONE_IN_PART, UserError
from mednoisy.files import locked
from mednoisy.inspection.dataset_facts import inspect_dataset
from mednoisy.inspection.inspection_page import terminal_text

from .case_work import RECORD
from .command import told
from .listing import contents
from .own_archives import of_archive
from .own_dataset import Settings, prepare
from .own_pairs import Rule
from .own_sources import Source, of_folders
from .own_survey import RECORD as SURVEYED


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code, 1 where cases were left out."""

    def act() -> int:
        given = _parser().parse_args(argv)
        _check(given)
        if given.networks == "nnunet":
            from mednoisy.networks.nnunet import architectures  # loads torch

            architectures()
        with locked(given.output, "images", "labels"):
            try:
                path, faults = prepare(_source(given), given.output, _settings(given))
            except UserError:
                if not (given.output / RECORD).is_file():  # nothing was prepared, so nothing stays
                    (given.output / SURVEYED).unlink(missing_ok=True)
                raise
            for fault in faults:
                print(f"mednoisy: {fault}", file=sys.stderr)
            print(contents(path))
            print(terminal_text(inspect_dataset(path)))
            print(_bundle(path, given.minutes, given.networks))
        return DONE_IN_PART if faults else DONE

    return told(act)


def _bundle(datalist: Path, minutes: float, networks: str) -> str:
    """Write `bundle/` beside the datalist, unless one is there; what was chosen, and how to train with it."""
    data = datalist.parent
    if not Datalist.load(datalist).cases("labeled"):
        return f"no label, so no bundle yet: label some cases, then mednoisy bundle new {data} {data / 'bundle'}"
    if (data / "bundle").exists():
        return f"{data / 'bundle'} is kept; mednoisy bundle new {data} {data / 'bundle'} --force makes it anew"
    from mednoisy.configure.new_bundle import chosen_text, new_bundle  # loads torch

    return chosen_text(new_bundle(data, data / "bundle", minutes, networks=networks), data, data / "bundle")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mednoisy prepare own", description=(__doc__ or "").split("\n")[0])
    where = parser.add_argument_group("where the files are")
    where.add_argument("--images", nargs="+", metavar="PATH", help="folder, files or a glob of images")
    where.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="PATH",
        help="the same of labels, or CLASS=PATH where each class has files",
    )
    where.add_argument(
        "--from", dest="archive", type=Path, metavar="DIR", help="Decathlon's or nnU-Net's folder instead"
    )
    where.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    where.add_argument("--link", action="store_true", help="leave the files where they are, and list them")
    where.add_argument("--skip-unknown", action="store_true", help="pass over files that no reader knows")
    names = parser.add_argument_group("which files are one case (by default what their names share)")
    names.add_argument(
        "--label-suffix", default="", metavar="_seg", help="labels lie beside images, their names end so"
    )
    names.add_argument("--image-affix", nargs="+", default=[], metavar="TEXT", help="cut off names of images")
    names.add_argument("--label-affix", nargs="+", default=[], metavar="TEXT", help="cut off names of labels")
    names.add_argument("--pattern", metavar="REGEX", help="whose first group, searched in names, is the case")
    names.add_argument(
        "--patients", default="", metavar="REGEX", help="whose first group, searched in FOLDER/FILE, is the patient"
    )
    what = parser.add_argument_group("what they show")
    what.add_argument(
        "--names", nargs="+", default=[], metavar="NAME", help="of classes: background,liver or 0=background,4=liver"
    )
    what.add_argument(
        "--channels",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of channels; several files a case are ID_0000, ID_0001",
    )
    what.add_argument(
        "--ignore", nargs="+", type=int, default=[], metavar="CODE", help="marks in labels what nobody looked at"
    )
    what.add_argument(
        "--match-grids", action="store_true", help="resample labels that lie on another grid than their image"
    )
    what.add_argument("--name", default="", help="of the dataset (default: the output folder's)")
    parser.add_argument(
        "--minutes", type=minutes, default=60.0, help="that a training on this machine may take (default: 60)"
    )
    add_networks(parser)
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    return parser


def _check(given: argparse.Namespace) -> None:
    """Refuse options that do not go together (E113) and arguments out of range (E108)."""
    if bool(given.images) == bool(given.archive):
        raise UserError("E113", "one of --images and --from is needed", "Give the folder of your images by --images")
    if given.archive and (given.labels or given.label_suffix):
        raise UserError("E113", "--from says itself where labels are", "Give --images and --labels without it")
    if given.labels and given.label_suffix:
        raise UserError("E113", "--labels and --label-suffix both say where labels are", "Give one of the two")
    if given.workers < 1:
        raise UserError("E108", f"workers is {given.workers}", "Choose at least 1")
    out = given.output.resolve()
    words = [*(given.images or []), *(word.partition("=")[2] or word for word in given.labels)]
    for folder in [Path(word) for word in words] + ([given.archive] if given.archive else []):
        if folder.is_dir() and (out == folder.resolve() or folder.resolve() in out.parents):
            raise UserError(
                "E108", f"{given.output} is in {folder}, where the source files are", "Give another --output"
            )


def _source(given: argparse.Namespace) -> Source:
    rule = Rule(given.pattern, tuple(given.image_affix), tuple(given.label_affix))
    for pattern in (given.pattern, given.patients):
        _compiled(pattern)
    channels = tuple(name for word in given.channels for name in word.split(",") if name)
    if given.archive:
        return of_archive(given.archive, rule, channels=channels, skip_unknown=given.skip_unknown)
    return of_folders(
        given.images,
        given.labels,
        rule,
        label_suffix=given.label_suffix,
        channels=channels,
        skip_unknown=given.skip_unknown,
    )


def _settings(given: argparse.Namespace) -> Settings:
    return Settings(
        given.patients,
        tuple(given.names),
        tuple(given.ignore),
        given.match_grids,
        given.link,
        given.name,
        given.workers,
    )


def _compiled(pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as fault:
        raise UserError("E368", f"{pattern!r} is no regular expression: {fault}", "Correct it") from fault


if __name__ == "__main__":
    sys.exit(main())
