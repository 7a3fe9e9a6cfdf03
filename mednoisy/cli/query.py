"""`mednoisy query`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mednoisy.cli.arguments import add_device, add_trust, count, number
from mednoisy.errors import DONE, DONE_IN_PART, UserError
from mednoisy.files import locked

if TYPE_CHECKING:
    from mednoisy.data.datalist import Datalist
    from mednoisy.data.datalist_checks import Case
    from mednoisy.opened_run import OpenedRun
    from mednoisy.query_folder import Asked
    from mednoisy.query_with_run import Question

HELP = "choose the unlabeled cases to annotate next, and predict them to be corrected"
EXAMPLE = (
    "mednoisy query runs/mine --strategy entropy --budget 5 --output query\n"
    "  mednoisy query data/mine --strategy random --budget 4 --output query"
)
STRATEGIES = (  # as the catalogue has them, which is heavy to ask
    *("random", "clusters", "typiclust", "probcover", "kcenter", "entropy", "margin", "bald", "variance"),
    *("disagreement", "power_entropy", "stochastic_batches", "uncertain_and_different", "clasp_pe", "badge", "ceal"),
    *("predicted_foreground_random", "foreground_random_33", "foreground_random_66"),
)

LABELED = ("labeled", "validation", "test")  # sections whose cases are not offered


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument(
        "source", metavar="RUN", type=Path, help="folder of a finished run, or of a prepared dataset without one yet"
    )
    command.add_argument("--output", type=Path, required=True, help="folder of the query")
    command.add_argument("--strategy", required=True, metavar="NAME", help=", ".join(STRATEGIES))
    command.add_argument("--budget", type=count, required=True, help="how many cases")
    command.add_argument(
        "--images", nargs="+", metavar="IMAGE", help="files, folders or patterns to choose from (default: the run's)"
    )
    command.add_argument("--data", type=Path, help="folder of the run's prepared dataset, where it has been moved")
    command.add_argument(
        "--features-of", type=Path, metavar="RUN", help="run, perhaps of a pretext, that gives features instead"
    )
    command.add_argument("--features", type=Path, metavar="FILE", help="features.h5 of an earlier query, read instead")
    command.add_argument("--members", metavar="KIND", help="who is compared: folds, students, dropout, flips, deployed")
    command.add_argument(
        "--pooling", metavar="RULE", help="from map to case: mean (default), top_share, over_foreground"
    )
    command.add_argument("--seed", type=number, default=0, help="of all that is random (default: 0)")
    command.add_argument("--number", type=number, default=0, help="of the query, from 0 (default: 0)")
    command.add_argument("--rounds", type=count, default=5, help="trainings there will be, for clasp_pe (default: 5)")
    command.add_argument("--same-patient", action="store_true", help="let several cases of a patient be chosen")
    command.add_argument("--duplicates", action="store_true", help="let near-duplicates be chosen")
    add_device(command)
    add_trust(command)


def run(options: argparse.Namespace) -> int:
    """Choose, write the folder, print ids and the page's path; the exit code."""
    _check(options)
    from mednoisy.composition import checked_device
    from mednoisy.query_folder import write_query
    from mednoisy.query_with_run import Question, answered, check_question

    question = Question(
        options.strategy,
        options.budget,
        options.seed,
        options.number,
        options.rounds,
        options.pooling,
        options.members,
        options.same_patient,
        options.duplicates,
    )
    has_run = (options.source / "run.json").is_file()
    check_question(question, with_run=has_run, with_features=has_run or options.features_of is not None)
    if options.device:
        checked_device(options.device)
    faults: list[UserError] = []
    with locked(options.output, "*"):
        runs = _opened(options, has_run)
        cases, labeled, datalist, asked = _cases(options, runs[0], question)
        answer = answered(
            question, cases, labeled, *runs, datalist, store=options.output, features=options.features,
            on_fault=faults.append,
        )  # fmt: skip
        page = write_query(options.output, question, answer, asked, *runs, list(faults), faults.append)
    for pick in answer.picks:
        print(f"{pick.id}  {pick.reason}")
    print(f"page: {page}")
    print(f"next: correct the label maps, then mednoisy annotate {options.output} CORRECTED --data DATA --output NEW")
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    return DONE_IN_PART if faults else DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse what is nothing to ask, before PyTorch is loaded."""
    is_run = (options.source / "run.json").is_file()
    if not is_run and not (options.source / "datalist.json").is_file():
        cause = f"{options.source} is neither a run nor a prepared dataset"
        raise UserError("E520", cause, "Give the --output folder of a mednoisy train or mednoisy prepare")
    if not is_run and options.data is not None:
        raise UserError("E113", "--data does not go with a dataset", f"Drop it: {options.source} is the dataset")
    if (options.output / "query.json").exists():  # written last, so that one that was interrupted can be asked again
        cause = f"{options.output} holds a query, whose label maps may have been corrected"
        raise UserError("E520", cause, "Give another --output")
    if options.features is not None and not options.features.is_file():
        raise UserError("E512", f"{options.features} does not exist", "Correct --features, or drop it")


def _opened(options: argparse.Namespace, has_run: bool) -> tuple[OpenedRun | None, OpenedRun | None]:
    """The run that scores, and the one that gives features."""
    from mednoisy.opened_run import opened_run

    settings = {"trust": options.trust, "device": options.device}
    run = opened_run(options.source, data=options.data, **settings) if has_run else None
    return run, opened_run(options.features_of, **settings) if options.features_of is not None else run


def _cases(
    options: argparse.Namespace, run: OpenedRun | None, question: Question
) -> tuple[list[Case], list[Case], Datalist | None, Asked]:
    """The cases to choose from, those with labels, the datalist where there is one, and what it says."""
    from mednoisy.data.datalist import Datalist
    from mednoisy.data.images import case_name
    from mednoisy.inference.found_images import images_named
    from mednoisy.inference.prediction import check_ids
    from mednoisy.query_folder import asked_of

    datalist = run.datalist if run is not None else Datalist.load(options.source / "datalist.json")
    split = {} if run is None else {name: run.parser.get_parsed_content(name) for name in ("labeled", "validation")}
    labeled = datalist.cases("labeled")
    if options.images is None:
        return datalist.cases("unlabeled"), labeled, datalist, asked_of(datalist, split)
    told = [case for section in LABELED for case in datalist.cases(section)]
    known = {str(Path(case["image"]).resolve()) for case in told}
    images = [path.absolute() for path in images_named(options.images)]
    if absent := [path for path in images if not path.is_file()]:
        raise UserError("E201", f"{absent[0]} does not exist", "Correct --images", case=case_name(absent[0]))
    listed = {str(Path(case["image"]).resolve()): case for case in datalist.cases("unlabeled")}  # with their patients
    cases = [
        listed.get(str(path.resolve()), {"id": case_name(path), "image": str(path)})
        for path in images
        if str(path.resolve()) not in known
    ]
    check_ids(cases)
    return cases, labeled, datalist, asked_of(datalist, split)
