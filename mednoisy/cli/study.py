"""`mednoisy study`: a grid of runs from the command line, or from a file that holds all of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mednoisy.cli.arguments import (
    BUNDLE_FOLDERS,
    DATA_HELP,
    add_dataset,
    add_set,
    check_given,
    count,
    given_or_own_data,
    number,
    or_path,
)
from mednoisy.errors import DONE, DONE_IN_PART, UserError

if TYPE_CHECKING:
    from mednoisy.studies.study import Study

HELP = "run a grid of starts, methods, labels and seeds; one table"
EXAMPLE = (
    "mednoisy study left_atrium --data data/left_atrium --methods supervised supervised:strong sdcl:strong "
    "'sdcl:strong teachers=each' --labeled 4 8 --seeds 0 1 2 --steps 2000 --output studies/left_atrium\n"
    "  mednoisy study --file benchmarks/studies/acdc.yaml --data data/acdc --output studies/acdc"
)
OF_THE_FILE = (
    "bundle",
    "dataset",
    "methods",
    "rows",
    "starts",
    "pretext_steps",
    "labeled",
    "seeds",
    "steps",
    "validation",
    "folds",
    "set",
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    from mednoisy.composition import known
    from mednoisy.composition.stacking import pretexts

    command.add_argument("bundle", nargs="?", help=or_path(known("bundle"), BUNDLE_FOLDERS))
    command.add_argument(
        "--file", type=Path, metavar="STUDY", help="all but --data and --output, docs/how_to/run_a_study.md"
    )
    command.add_argument("--data", type=Path, help=DATA_HELP)
    command.add_argument("--output", type=Path, help="folder of the study")
    add_dataset(command)
    command.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD[:RECIPE]",
        help="rows of the table, each perhaps with settings of its own: 'sdcl:strong teachers=each'",
    )
    command.add_argument("--rows", type=Path, metavar="FILE", help="the rows instead, docs/how_to/run_a_study.md")
    command.add_argument(
        "--starts",
        nargs="+",
        metavar="START",
        help=f"what each row starts from: scratch, {', '.join(pretexts())}, pretrained:FILE (default: scratch)",
    )
    command.add_argument(
        "--pretext-steps", type=count, help="training steps of a pretext that rows start from (default: a quarter)"
    )
    command.add_argument("--labeled", nargs="+", type=count, help="numbers of labeled cases")
    command.add_argument("--seeds", nargs="+", type=number, help="(default: 0)")
    command.add_argument("--steps", type=count, help="training steps of each run")
    command.add_argument("--validation", type=number, help="cases of the unlabeled pool that choose checkpoints")
    command.add_argument("--folds", type=count, help="cross-validate each run over so many folds")
    add_set(command)


def run(options: argparse.Namespace) -> int:
    """Run what is missing and print where the table is; the exit code, 1 where runs failed."""
    study = _study(options)
    failed = study.run()
    for name in failed:
        print(f"mednoisy: {name} failed, see above; call the study again to go on with it", file=sys.stderr)
    print(study.table_file)
    return DONE_IN_PART if failed else DONE


def _study(options: argparse.Namespace) -> Study:
    from mednoisy.composition import parse_setting
    from mednoisy.studies.files import read_rows, read_study
    from mednoisy.studies.study import Study

    data = given_or_own_data(options)
    places = {"--data": data, "--output": options.output}
    if options.file is not None:
        check_given(places, "study")
        given = [
            name if name == "bundle" else f"--{name.replace('_', '-')}"
            for name in OF_THE_FILE
            if getattr(options, name) not in (None, [])
        ]
        if given:
            raise UserError("E113", f"{given[0]} does not go with --file", "Write it into the file, or drop --file")
        return Study(data=options.data, output=options.output, **read_study(options.file))
    grid = {"--methods": options.methods or options.rows, "--labeled": options.labeled, "--steps": options.steps}
    check_given({"bundle": options.bundle, **places, **grid}, "study")
    assert data is not None  # as just checked
    if options.methods and options.rows:
        raise UserError("E113", "--methods does not go with --rows", "Give the rows in one of the two ways")
    return Study(
        bundle=options.bundle,
        data=data,
        output=options.output,
        methods=read_rows(options.rows) if options.rows else options.methods,
        labeled=options.labeled,
        seeds=options.seeds or [0],
        steps=options.steps,
        validation=options.validation,
        settings=dict(parse_setting(text) for text in options.set),
        dataset=options.dataset,
        folds=options.folds,
        starts=options.starts,
        pretext_steps=options.pretext_steps,
    )
