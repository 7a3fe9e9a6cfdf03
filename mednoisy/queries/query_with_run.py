"""Which unlabeled cases to annotate next: a finished run scores them, a strategy chooses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.active.catalogue import STRATEGIES, choose
from mednoisy.active.features import has_encoder
from mednoisy.active.members import chosen_members
from mednoisy.active.pool import Batch, Pick, Pool, query_draw
from mednoisy.active.regions import PLURALS, Regions
from mednoisy.active.scoring import Scorer, checked_pooling
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case, patient_of
from mednoisy.data.images import read_image
from mednoisy.engines.distributed import first_alone
from mednoisy.errors import UserError
from mednoisy.queries.question import FROM_NETWORK, Question, check_question
from mednoisy.queries.scored_pool import PoolScoring, hidden_references, true_foreground
from mednoisy.queries.scored_regions import RegionScoring, Unit, partly_labeled
from mednoisy.queries.shared_scoring import OnFault, OnProgress, told_fault
from mednoisy.runs.opened_run import OpenedRun, opened_run


@dataclass(frozen=True)
class Answer:
    """Which cases were chosen, and of what.

    Attributes:
        picks: best first.
        cases: that could be chosen, in order; `Pick.index` counts in them, or in `regions` where there are any.
        uncertainty: of each of these; None where the strategy asks for none.
        scorer: what scored them; None where nothing had to, or could, be scored.
        regions: slices or boxes that could be chosen; None where whole cases were asked for.
    """

    picks: list[Pick]
    cases: list[Case]
    uncertainty: np.ndarray | None
    scorer: Scorer | None
    regions: Regions | None = None

    def case_of(self, pick: Pick) -> Case:
        """The case that was chosen, or of which a part was."""
        return self.cases[pick.index if self.regions is None else int(self.regions.case[pick.index])]


def query_run(
    run: Path,
    strategy: str,
    budget: int,
    *,
    seed: int,
    number: int = 0,
    rounds: int = 5,
    pooling: str | None = None,
    same_patient: bool = False,
    duplicates: bool = False,
    trust: bool = False,
    device: str | None = None,
    cases: Sequence[Case] | None = None,
    on_fault: OnFault | None = None,
) -> list[Pick]:
    """The unlabeled cases of a run's datalist to annotate next, best first; the same again for the same seed.

    Args:
        run: folder of a finished run.
        strategy, budget, seed, number, rounds, pooling, same_patient, duplicates: see `Question`.
        trust, device: see `opened_run`.
        cases: to choose from instead, by the run's features alone, where nothing is labeled yet; what the run itself
            was trained on does not matter then.
        on_fault: is given why a case cannot be scored, and the others go on; None: the first such case ends it.

    Raises:
        UserError: as `opened_run`, `check_question` and `answered`.
    """
    question = Question(strategy, budget, seed, number, rounds, pooling, None, same_patient, duplicates)
    check_question(question, with_run=cases is None, with_features=True)
    opened = opened_run(run, trust=trust, device=device)
    if cases is not None:
        return answered(question, cases, features_of=opened, on_fault=on_fault).picks
    datalist = opened.datalist
    answer = answered(
        question, datalist.cases("unlabeled"), datalist.cases("labeled"), opened, opened, datalist, on_fault=on_fault
    )
    return answer.picks


def answered(
    question: Question,
    cases: Sequence[Case],
    labeled: Sequence[Case] = (),
    run: OpenedRun | None = None,
    features_of: OpenedRun | None = None,
    datalist: Datalist | None = None,
    *,
    store: Path | None = None,
    features: Path | None = None,
    on_fault: OnFault | None = None,
    on_progress: OnProgress | None = None,
) -> Answer:
    """Score cases one by one and choose. What a case is as features or gradients goes to disk, not to memory.

    Args:
        question: what is asked.
        cases: that may be chosen.
        labeled: whose features count as chosen already.
        run: scores cases; None where the strategy needs no network.
        features_of: whose features are compared.
        datalist: whose hidden references an oracle reads.
        store: folder that keeps `features.h5`, and until `forget_scored` what was scored; None keeps nothing. What
            one that is there knows of the same images is not computed again.
        features: a file to read them from; it must belong here. What it lacks is computed.
        on_fault: as for `query_run`.
        on_progress: is given how many cases are scored, of how many.

    Raises:
        UserError: E393 to E395, see `active`; E511 and E512, features of others; E514, members that the run has not;
            E517, an oracle without references; E518, a pretext that is asked for predictions; E2xx, an unreadable case.
    """
    if question.unit != "case":
        with _store(store) as place:
            return _answered_in_parts(
                question, cases, labeled, run, features_of, datalist, place, on_fault, on_progress
            )
    everything = Pool([case["id"] for case in cases], patients=[patient_of(case) for case in cases])
    Batch(everything, question.budget, question.same_patient)  # refuses a budget that cannot be met, before work
    scorer = scorer_of(question, run)
    with _store(store) as place:
        known, fields = list(cases), dict[str, np.ndarray]()
        if STRATEGIES[question.strategy].oracle or not question.needs:
            first_alone()
        if STRATEGIES[question.strategy].oracle:
            known, fields = true_foreground(cases, datalist, with_run=run is not None)
        elif question.needs:
            scoring = PoolScoring(
                _wanted(question, features_of), scorer, run, features_of, place, features, on_fault, on_progress
            )
            known, fields = scoring.fields(cases, labeled if "features" in question.needs else ())
        picks = _chosen(question, known, fields, run or features_of, on_fault)
        return Answer(picks, known, fields.get("uncertainty"), scorer)


@contextmanager
def _store(folder: Path | None) -> Iterator[Path]:
    """A folder, or one for as long as it is needed."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def _answered_in_parts(
    question: Question,
    cases: Sequence[Case],
    labeled: Sequence[Case],
    run: OpenedRun | None,
    features_of: OpenedRun | None,
    datalist: Datalist | None,
    store: Path,
    on_fault: OnFault | None,
    on_progress: OnProgress | None,
) -> Answer:
    """Slices or boxes of the cases, and of labeled ones in which somebody has not looked at all."""
    entry, scorer, hidden = STRATEGIES[question.strategy], scorer_of(question, run), None
    if entry.oracle:
        hidden = hidden_references(cases, datalist)
    else:
        cases = [*cases, *partly_labeled(labeled)]
    unit = Unit(question.unit, question.box, question.duplicates)
    classes = len(datalist.labels) if datalist is not None else 0
    wanted = () if entry.oracle else question.needs
    compared = features_of if "features" in wanted else None
    scoring = RegionScoring(unit, wanted, scorer, run, store, compared, hidden, classes, on_fault, on_progress)
    kept, regions, fields = scoring.fields(cases, labeled)
    ids = [f"{kept[number]['id']} {regions.words(row)}" for row, number in enumerate(regions.case)]
    patients = [patient_of(kept[number]) for number in regions.case]
    pool = Pool(
        ids, **fields, patients=patients, regions=regions, what=PLURALS[question.unit],
        round=question.number, rounds=question.rounds,
    )  # fmt: skip
    picks = choose(
        pool, question.strategy, question.budget, query_draw(question.seed, question.number),
        same_patient=question.same_patient, duplicates=question.duplicates, per_patient=question.per_patient,
    )  # fmt: skip
    return Answer(picks, kept, fields.get("uncertainty"), scorer, regions)


def _wanted(question: Question, features_of: OpenedRun | None) -> tuple[str, ...]:
    """The fields to compute: what the strategy needs, and features to tell near-duplicates by."""
    comparing = features_of is not None and not question.duplicates and has_encoder(features_of.network)
    return tuple(dict.fromkeys([*question.needs, *(["features"] if comparing else [])]))


def scorer_of(question: Question, run: OpenedRun | None) -> Scorer | None:
    """What scores cases; None without a run, and for a pretext where the strategy asks no predictions.

    Raises:
        UserError: E514, members that the run has not; E518, a pretext that is asked for predictions.
    """
    if run is None:
        return None
    entry, draw = STRATEGIES[question.strategy], query_draw(question.seed, question.number)
    if run.deployed is None:
        if {*entry.needs} & {*FROM_NETWORK} and not entry.oracle:
            cause = (
                f"{run.folder} is the run of a pretext, which predicts nothing; {question.strategy} asks predictions"
            )
            raise UserError("E518", cause, "Give a run that segments, or a strategy of features, such as typiclust")
        return None
    members = chosen_members(question.members, entry.score, run.network, run.peers, draw)
    return Scorer(question.strategy, run.network, members, run.inferer, checked_pooling(question.pooling))


def _chosen(
    question: Question,
    cases: list[Case],
    fields: Mapping[str, np.ndarray],
    run: OpenedRun | None,
    on_fault: OnFault | None,
) -> list[Pick]:
    """The strategy's choice; where it reads no image, of cases that can be read. `cases` loses those that cannot."""
    while True:
        pool = Pool(
            [case["id"] for case in cases],
            **fields,
            patients=[patient_of(case) for case in cases],
            regions=None,
            what=PLURALS[question.unit],
            round=question.number,
            rounds=question.rounds,
        )
        draw = query_draw(question.seed, question.number)
        allowed = {"same_patient": question.same_patient, "duplicates": question.duplicates}
        picks = choose(pool, question.strategy, question.budget, draw, **allowed)
        unreadable = [] if question.needs else _unreadable([cases[pick.index] for pick in picks], run, on_fault)
        if not unreadable:
            return picks
        cases[:] = [case for case in cases if case["id"] not in unreadable]


def _unreadable(cases: Sequence[Case], run: OpenedRun | None, on_fault: OnFault | None) -> list[str]:
    """Ids of the cases that cannot be read."""
    found = []
    for case in cases:
        with told_fault(on_fault) as faults:
            if run is not None:
                run.image(case)
            else:
                read_image(case["image"], channels=True, case=case["id"])
        if faults:
            found.append(case["id"])
    return found
