"""Studies ranked in a process of its own, with progress: by the settings' strategy, and by others that are asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mednoisy.active.pool import Pick
from mednoisy.data.datalist_checks import Case
from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label.deployment import figure_of
from mednoisy.monai_label.leases import Leases
from mednoisy.monai_label.orders import answerable, features_run, network_name, read_order, write_order
from mednoisy.monai_label.studies import Study, found_studies, labeled
from mednoisy.monai_label.training import busy, launched, serving_run
from mednoisy.monai_label.workplace import Settings, Workplace, read_state, write_state
from mednoisy.queries.query_with_run import answered
from mednoisy.queries.question import Question
from mednoisy.queries.shared_scoring import forget_scored
from mednoisy.runs.expected_dice import expected_dice
from mednoisy.runs.opened_run import OpenedRun, opened_run

NOTHING: dict[str, Any] = {"state": "idle", "strategy": "", "done": 0, "total": 0, "faults": []}
EXPECTED = "expected.json"


def want(place: Workplace, strategy: str, number: int = 0) -> None:
    """Have studies ranked by a strategy in the background; `number` of the query, where an earlier one is used up."""
    wanted = read_state(_wanted(place), {})
    if wanted.get(strategy, -1) < number:
        write_state(_wanted(place), {**wanted, strategy: number})
    if not busy(place.folder / "scoring"):
        launched("scoring", place, log=place.folder / "scoring" / "log.txt")


def progress(place: Workplace) -> dict[str, Any]:
    """What is being ranked: `state`, `strategy`, `done` of `total` studies, `faults` of studies that were left out.

    The state is `scoring`, then `estimating` (the Dice to expect), and `idle` where no process is at it; `interrupted`
    where one died.
    """
    status, working = read_state(_status(place), NOTHING), busy(place.folder / "scoring")
    if status["state"] == "idle":
        return {**status, "state": "estimating" if working else "idle"}
    return status if working else {**status, "state": "interrupted"}


def expected_of(place: Workplace, network: str) -> dict[str, Any]:
    """By study and class the Dice to expect, as far as it is known; `failed` says why none is."""
    return read_state(place.folder / "rounds" / network / EXPECTED, {})


def main(arguments: Sequence[str]) -> int:
    """`STUDIES`: rank what is wanted until nothing is; 0, also where another process is at it."""
    place = Workplace(Path(arguments[0]))
    try:
        with locked(place.folder / "scoring"):
            rank_wanted(place)
    except UserError as fault:
        if fault.code != "E314":
            raise
    return 0


def rank_wanted(place: Workplace) -> None:
    """Rank by each wanted strategy that the network which serves has not ranked by, then tell what Dice to expect."""
    settings = place.settings()
    while True:
        network = network_name(place)
        own, _ = answerable(place, settings, settings.strategy)
        wanted = {own: 0, **read_state(_wanted(place), {})}
        missing = [(name, number) for name, number in wanted.items() if _lacks(place, network, name, number)]
        if not missing:
            break
        run, features_of = _opened(place, settings)
        for strategy, number in missing:
            rank(place, settings, network, Question(strategy, settings.batch, settings.seed, number), run, features_of)
    _expect(place, settings, network)


def rank(
    place: Workplace,
    settings: Settings,
    network: str,
    question: Question,
    run: OpenedRun | None,
    features_of: OpenedRun | None,
) -> None:
    """Ask one question of the studies that are neither labeled nor with a client, and keep the answer.

    Near-duplicates and several studies of a patient come in only where too few would be left without them.
    """
    faults: list[UserError] = []
    started = time.time()

    def note(state: str, done: int, total: int) -> None:
        told = [str(fault) for fault in faults]
        status = {"state": state, "strategy": question.strategy, "done": done, "total": total, "faults": told}
        write_state(_status(place), {**status, "network": network, "started": started})

    studies = found_studies(place)
    away = Leases(place, settings.lease_minutes).away()
    cases = [study.case for study in studies if study.label is None and study.id not in away]
    note("scoring", 0, len(cases))
    if not cases:
        write_order(place, network, question.strategy, question.number, [])
        note("idle", 0, 0)
        return
    known = [_labeled_case(study) for study in labeled(studies)]
    failed: UserError | None = None
    picks: list[Pick] = []
    for anything in (False, True, True):
        readable = len(cases) - len({fault.case for fault in faults})
        if not readable:
            break
        asked = Question(
            question.strategy, min(question.budget, readable), question.seed, question.number,
            same_patient=anything, duplicates=anything,
        )  # fmt: skip
        try:
            faults.clear()
            picks = answered(
                asked, cases, known, run, features_of, store=place.folder / "scoring", on_fault=faults.append,
                on_progress=lambda done, total: note("scoring", done, total),
            ).picks  # fmt: skip
            failed = None
            break
        except UserError as fault:
            failed = fault
            if fault.code != "E394":
                break
    forget_scored(place.folder / "scoring")
    write_order(place, network, question.strategy, question.number, picks, failed)
    note("idle", len(cases), len(cases))


def _expect(place: Workplace, settings: Settings, network: str) -> None:
    """Write what Dice is to be expected of each unlabeled study, once a network."""
    run = serving_run(place)
    path = place.folder / "rounds" / network / EXPECTED
    if run is None or path.is_file():
        return
    if not figure_of(run).studies:
        write_state(path, {"failed": "no study was held out, so nothing tells how good predictions are"})
        return
    cases = [study.case for study in found_studies(place) if study.label is None]
    faults: list[UserError] = []
    try:
        found = expected_dice(run, cases, trust=settings.trust, device=settings.device, on_fault=faults.append)
    except UserError as fault:
        write_state(path, {"failed": str(fault)})
        return
    classes = {
        of_case.case: {
            name: {"dice": each.dice, "low": each.low, "high": each.high, "cover": each.cover}
            for name, each in of_case.classes.items()
        }
        for of_case in found
    }
    write_state(path, {"studies": classes, "failed": "; ".join(map(str, faults))})


def _opened(place: Workplace, settings: Settings) -> tuple[OpenedRun | None, OpenedRun | None]:
    """The run that serves, and the one whose features are compared."""
    serving = serving_run(place)
    if serving is not None:
        run = opened_run(serving, trust=settings.trust, device=settings.device)
        return run, run
    features = features_run(place, settings)
    if features is None:
        return None, None
    return None, opened_run(features, trust=settings.trust, device=settings.device)


def _lacks(place: Workplace, network: str, strategy: str, number: int) -> bool:
    order = read_order(place, network, strategy)
    return order is None or order.number < number


def _labeled_case(study: Study) -> Case:
    return {**study.case, "label": str(study.label)}


def _wanted(place: Workplace) -> Path:
    return place.folder / "orders" / network_name(place) / "wanted.json"


def _status(place: Workplace) -> Path:
    return place.folder / "scoring" / "status.json"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
