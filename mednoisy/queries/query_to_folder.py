"""A query from the folders that a user names to the folder that it leaves: what `mednoisy query` does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.images import case_name
from mednoisy.engines.distributed import (
    ShareDone,
    device_of_process,
    gathered,
    processes_started,
    rank_and_ranks,
    sharing_processes,
)
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.files import locked
from mednoisy.inference.found_images import cases_named
from mednoisy.inference.prediction import check_ids
from mednoisy.queries.query_folder import Asked, asked_of, write_query
from mednoisy.queries.query_with_run import Answer, answered
from mednoisy.queries.question import Question, check_question
from mednoisy.queries.shared_scoring import forget_scored
from mednoisy.report.reading.queries import check_no_query
from mednoisy.runs.opened_run import OpenedRun, opened_run

COMPARED = ("uncertainty", "class_uncertainty", "foreground")  # what is made of the members' opinions
LABELED = ("labeled", "validation", "test")  # sections whose cases are not offered


@dataclass(frozen=True)
class Sources:
    """Where a query looks.

    Attributes:
        source: folder of a finished run, or of a prepared dataset that has none yet.
        images: files, folders or patterns to choose from; None for the unlabeled cases of the datalist.
        data: the run's prepared dataset, where it has been moved.
        features_of: run, perhaps of a pretext, that gives features instead.
        features: `features.h5` of an earlier query, to read; what it lacks is computed.
        device: such as `cpu`; None for the run's.
        trust: whether a run's configuration may be any program, see `check_trusted`.
    """

    source: Path
    images: Sequence[str] | None = None
    data: Path | None = None
    features_of: Path | None = None
    features: Path | None = None
    device: str | None = None
    trust: bool = False

    @property
    def has_run(self) -> bool:
        """Whether `source` is a run."""
        return (self.source / "run.json").is_file()


def query_to_folder(question: Question, sources: Sources, output: Path) -> tuple[Answer, Path, list[UserError]]:
    """Choose, and write what docs/reference/query_file.md tells; the answer, the page, and why cases were left out.

    Of several processes, see `sharing_processes`, each scores its share, and the first one chooses and writes.

    Raises:
        ShareDone: in every process but the first.
        UserError: as `check_question`, `opened_run`, `Datalist.load`, `cases_named`, `answered` and `write_query`;
            E201, an image that is not there; E207, two of one id; E314, another process is at work in `output`; E515,
            an option that the strategy has no use for; E520, `output` holds a query.
    """
    with_features = sources.has_run or sources.features_of is not None
    check_question(question, with_run=sources.has_run, with_features=with_features)
    _check_used(question)
    faults: list[UserError] = []
    with _for_these_processes(output):
        run = _opened(sources, sources.source, sources.data) if sources.has_run else None
        features_of = run if sources.features_of is None else _opened(sources, sources.features_of)
        datalist = run.datalist if run is not None else Datalist.load(sources.source / "datalist.json")
        cases = datalist.cases("unlabeled") if sources.images is None else _named(sources.images, datalist)
        answer = answered(
            question, cases, datalist.cases("labeled"), run, features_of, datalist, store=output,
            features=sources.features, on_fault=faults.append,
        )  # fmt: skip
        asked = _asked(datalist, run)
        page = write_query(output, question, answer, asked, run, features_of, list(faults), faults.append)
        forget_scored(output)
    return answer, page, faults


@contextmanager
def _for_these_processes(output: Path) -> Iterator[None]:
    """The folder, locked by the first process; the others come in when it is."""
    if rank_and_ranks()[0] > 0:
        gathered(None)
        yield
        return
    with locked(output, "*"):
        check_no_query(output)
        gathered(None)
        yield


def ask(question: Question, sources: Sources, output: Path) -> None:
    """`query_to_folder` for a bundle's `query.yaml`: prints the page's path and why cases were left out.

    Processes of torchrun share the scoring, as those of `mednoisy query` do.

    Raises:
        SystemExit: 1, cases were left out, as of `mednoisy query`.
        UserError: as `query_to_folder`.
    """
    with sharing_processes() if processes_started() > 1 else nullcontext():
        try:
            _, page, faults = query_to_folder(question, sources, output)
        except ShareDone:
            return
    print(f"page: {page}", flush=True)
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    if faults:
        raise SystemExit(DONE_IN_PART)


def _check_used(question: Question) -> None:
    """Refuse an option that the strategy has no use for (E515)."""
    using = {name: entry for name, entry in STRATEGIES.items() if not entry.oracle}
    pooling = [name for name, entry in using.items() if "uncertainty" in entry.needs]
    comparing = [name for name, entry in using.items() if {*entry.needs} & {*COMPARED}]
    for option, value, users in (("--pooling", question.pooling, pooling), ("--members", question.members, comparing)):
        if value is not None and question.strategy not in users:
            cause = f"the strategy {question.strategy} has no use for {option} {value}"
            raise UserError("E515", cause, f"Drop it, or take one that has: {', '.join(users)}")


def _opened(sources: Sources, folder: Path, data: Path | None = None) -> OpenedRun:
    device = device_of_process(sources.device)
    return opened_run(folder, trust=sources.trust, device=device, data=data)


def _asked(datalist: Datalist, run: OpenedRun | None) -> Asked:
    names = ("labeled", "validation")
    return asked_of(datalist, {} if run is None else {name: run.parser.get_parsed_content(name) for name in names})


def _named(names: Sequence[str], datalist: Datalist) -> list[Case]:
    """Images that have no label yet; those that the datalist has, with what it says of them, such as the patient."""
    images = {Path(case["image"]).absolute(): case["id"] for case in cases_named(names)}
    if absent := [path for path in images if not path.exists()]:
        raise UserError("E201", f"{absent[0]} does not exist", "Correct --images", case=case_name(absent[0]))
    labeled = {str(Path(case["image"]).resolve()) for section in LABELED for case in datalist.cases(section)}
    listed = {str(Path(case["image"]).resolve()): case for case in datalist.cases("unlabeled")}
    cases = [
        listed.get(str(path.resolve()), {"id": name, "image": str(path)})
        for path, name in images.items()
        if str(path.resolve()) not in labeled
    ]
    check_ids(cases)
    sections = (*LABELED, "unlabeled", "pseudo")
    taken = {case["id"]: case["image"] for section in sections for case in datalist.cases(section)}
    for case in cases:
        if Path(taken.get(case["id"], case["image"])).resolve() != Path(case["image"]).resolve():
            cause = f"{case['image']} has the id of {taken[case['id']]}, which the dataset lists"
            raise UserError("E207", cause, "Rename it", case=case["id"])
    return cases
