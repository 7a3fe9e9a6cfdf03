"""`mednoisy query`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mednoisy.cli.arguments import add_device, add_trust, count, number
from mednoisy.cli.processes import one_voice
from mednoisy.errors import DONE, DONE_IN_PART, UserError

HELP = "choose the unlabeled cases, slices or boxes to annotate next, and predict them to be corrected"
EXAMPLE = (
    "mednoisy query runs/mine --strategy entropy --budget 5 --output query\n"
    "  mednoisy query data/mine --strategy random --budget 4 --output query"
)
STRATEGIES = (  # as the catalogue has them, which is heavy to ask
    *("random", "clusters", "typiclust", "probcover", "kcenter", "entropy", "margin", "bald", "variance"),
    *("disagreement", "power_entropy", "stochastic_batches", "uncertain_and_different", "clasp_pe", "badge", "ceal"),
    *("predicted_foreground_random", "foreground_random_33", "foreground_random_66"),
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument(
        "source", metavar="RUN", type=Path, help="folder of a finished run, or of a prepared dataset without one yet"
    )
    command.add_argument("--output", type=Path, required=True, help="folder of the query")
    command.add_argument("--strategy", required=True, metavar="NAME", help=", ".join(STRATEGIES))
    command.add_argument("--budget", type=count, required=True, help="how many cases, slices or boxes")
    command.add_argument("--unit", default="case", metavar="NAME", help="what is chosen: case (default), slice, box")
    command.add_argument(
        "--box", type=count, nargs="+", default=[], metavar="VOXELS", help="of a box to the right, front and top"
    )
    command.add_argument(
        "--per-patient", type=count, metavar="N", help="slices or boxes of a patient (default: twice the even share)"
    )
    command.add_argument(
        "--images", nargs="+", metavar="IMAGE", help="files, folders or patterns to choose from (default: the run's)"
    )
    command.add_argument("--data", type=Path, help="folder of the run's prepared dataset, where it has been moved")
    command.add_argument(
        "--features-of", type=Path, metavar="RUN", help="run, perhaps of a pretext, that gives features instead"
    )
    command.add_argument("--features", type=Path, metavar="FILE", help="features.h5 of an earlier query to read")
    command.add_argument("--members", metavar="KIND", help="who is compared: folds, students, dropout, flips, deployed")
    command.add_argument(
        "--pooling", metavar="RULE", help="from map to case: mean (default), top_share, over_foreground"
    )
    command.add_argument("--seed", type=number, default=0, help="of all that is random (default: 0)")
    command.add_argument("--number", type=number, default=0, help="of the query, from 0 (default: 0)")
    command.add_argument("--rounds", type=count, default=5, help="trainings there will be, for clasp_pe (default: 5)")
    command.add_argument("--same-patient", action="store_true", help="let any number of a patient be chosen")
    command.add_argument("--duplicates", action="store_true", help="let near-duplicates and neighbours be chosen")
    add_device(command)
    add_trust(command)


def run(options: argparse.Namespace) -> int:
    """Choose, write the folder, print ids and the page's path; the exit code. Processes of torchrun share the work."""
    with one_voice():
        return _choose(options)


def _choose(options: argparse.Namespace) -> int:
    _check(options)
    from mednoisy.composition import checked_device
    from mednoisy.engines.distributed import ShareDone
    from mednoisy.queries.query_to_folder import Sources, query_to_folder
    from mednoisy.queries.question import Question

    if options.device:
        checked_device(options.device)
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
        options.unit,
        tuple(options.box),
        options.per_patient,
    )
    names = ("source", "images", "data", "features_of", "features", "device", "trust")
    sources = Sources(**{name: getattr(options, name) for name in names})
    try:
        answer, page, faults = query_to_folder(question, sources, options.output)
    except ShareDone:
        return DONE
    for pick in answer.picks:
        print(f"{pick.id}  {pick.reason}")
    print(f"page: {page}")
    print(f"next: correct the label maps, then mednoisy annotate {options.output} CORRECTED --data DATA --output NEW")
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    return DONE_IN_PART if faults else DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse what is nothing to ask, before PyTorch is loaded."""
    from mednoisy.report.reading.queries import check_no_query

    is_run = (options.source / "run.json").is_file()
    if not is_run and not (options.source / "datalist.json").is_file():
        cause = f"{options.source} is neither a run nor a prepared dataset"
        raise UserError("E520", cause, "Give the --output folder of a mednoisy train or mednoisy prepare")
    if not is_run and options.data is not None:
        raise UserError("E113", "--data does not go with a dataset", f"Drop it: {options.source} is the dataset")
    check_no_query(options.output)
    if options.features is not None and not options.features.is_file():
        raise UserError("E512", f"{options.features} does not exist", "Correct --features, or drop it")
