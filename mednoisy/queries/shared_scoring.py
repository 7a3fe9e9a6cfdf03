"""Work on the cases of a pool one by one: each process its share, each case kept as soon as it is computed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mednoisy.active.rows_file import fingerprint
from mednoisy.active.rows_journal import Journal, JournalWriter, Rows
from mednoisy.data.datalist_checks import Case
from mednoisy.engines.distributed import first_alone, gathered, rank_and_ranks
from mednoisy.errors import REFUSED, UserError
from mednoisy.notices import tell

OnFault = Callable[[UserError], None]
OnProgress = Callable[[int, int], None]
SCORED = "scored"  # folder in that of a query, while it is not finished


@contextmanager
def told_fault(on_fault: OnFault | None) -> Iterator[list[UserError]]:
    """Around work on one case: what it is refused for is told and listed; without `on_fault` it is raised."""
    faults: list[UserError] = []
    try:
        yield faults
    except UserError as fault:
        if on_fault is None or fault.exit_code != REFUSED or fault.case is None:
            raise
        on_fault(fault)
        faults.append(fault)


@dataclass
class SharedScoring:
    """Computes rows of arrays for cases, and keeps them in a journal until `forget_scored`.

    Of several processes (torchrun) each computes every so manyth case. What an interrupted one has kept is not
    computed again where the files of a case are what they were; rows of other facts lie in a folder of their own and
    are not looked at.

    Attributes:
        store: folder of the query.
        facts: all that changes what is computed of a case: networks, how they see it, options.
        on_fault: is given why a case is left out; None: it ends the work.
        on_progress: is given how many cases of this process's share are computed, of how many.
    """

    store: Path
    facts: Mapping[str, str]
    on_fault: OnFault | None = None
    on_progress: OnProgress | None = None

    def computed(
        self, cases: Sequence[Case], compute: Callable[[Case], Rows], made_of: Callable[[Case], str]
    ) -> Iterator[tuple[Case, str, Rows]]:
        """Cases in order, of each the fingerprint of its files and the rows; without those that could not be computed.

        Args:
            compute: the rows of one case.
            made_of: what its files are and what is asked of it; where that is empty, it is always computed.

        Raises:
            ShareDone: in every process but the first.
            UserError: E561, another process has ended; E320, the disk is full; else why a case cannot be computed.
        """
        rank, ranks = rank_and_ranks()
        folder = self.store / SCORED / _digest(self.facts)
        known, faults = Journal(folder, self.facts), dict[str, UserError]()
        share = cases[rank::ranks]
        if kept := sum(case["id"] in known for case in cases):
            tell(f"{kept} of {len(cases)} cases are scored already, and are not scored again")
        on_fault = self.on_fault if ranks == 1 or self.on_fault is None else lambda fault: None
        hidden = True if rank or not share else None
        with JournalWriter(folder, self.facts) as journal:
            for number, case in enumerate(tqdm(share, desc="score", unit="case", disable=hidden), 1):
                files = made_of(case)
                if not files or known.made_of(case["id"]) != files:
                    with told_fault(on_fault) as refused:
                        journal.add(case["id"], files, compute(case))
                    if refused:
                        faults[case["id"]] = refused[0]
                if self.on_progress is not None:
                    self.on_progress(number, len(share))
        faults = {name: fault for of_rank in gathered(faults) for name, fault in of_rank.items()}
        first_alone()
        if ranks > 1 and self.on_fault is not None:
            for case in cases:
                if case["id"] in faults:
                    self.on_fault(faults[case["id"]])
        journal_of_all = Journal(folder, self.facts)
        for case in cases:
            if case["id"] not in faults:
                yield case, journal_of_all.made_of(case["id"]) or "", journal_of_all.rows(case["id"])


def forget_scored(store: Path) -> None:
    """Take away what is kept of a scoring that has served."""
    shutil.rmtree(store / SCORED, ignore_errors=True)


def fingerprint_of(case: Case) -> str:
    """Of the files of a case: its image, and the label where there is one; empty where a file is none."""
    found = [fingerprint(Path(case[name])) for name in ("image", "label") if name in case]
    return " ".join(found) if all(found) else ""


def _digest(facts: Mapping[str, str]) -> str:
    return hashlib.blake2b(json.dumps(dict(facts), sort_keys=True).encode(), digest_size=8).hexdigest()
