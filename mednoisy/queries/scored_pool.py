"""All that a strategy needs to know of a pool of cases, computed case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mednoisy.active.features import pooled_bottleneck
from mednoisy.active.rows_file import (
    AGAIN,
    RowsWriter,
    StoredRows,
    fingerprint,
    read_rows,
    rows_written,
    stored_rows,
)
from mednoisy.active.scoring import Scorer
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.errors import UserError
from mednoisy.queries.shared_scoring import OnFault, OnProgress, SharedScoring
from mednoisy.runs.opened_run import OpenedRun

FILES = {"features": "features.h5", "gradients": "gradients.h5"}  # fields that go to disk


@dataclass
class PoolScoring:
    """Computes fields of a pool; features and gradients stream to files, of the rest a few numbers a case are held.

    The files are whole or not there; what an interrupted scoring had computed is kept, see `SharedScoring`. Features of
    a finished one are computed again only where the image, or what made them, has changed.

    Attributes:
        wanted: names of fields of `Pool`.
        scorer: for all but features; None where only these are wanted.
        run: whose networks the scorer has.
        features_of: the run whose features are wanted.
        store: folder of the files.
        features: a file with features, which must belong here; what it lacks is computed.
        on_fault: is given why a case is left out; None: it ends the work.
        on_progress: is given how many cases are scored, of how many.
    """

    wanted: tuple[str, ...]
    scorer: Scorer | None
    run: OpenedRun | None
    features_of: OpenedRun | None
    store: Path
    features: Path | None = None
    on_fault: OnFault | None = None
    on_progress: OnProgress | None = None
    _known: StoredRows | None = field(default=None, init=False)
    _images: dict[str, str] = field(default_factory=dict, init=False)  # fingerprints by id

    def fields(self, cases: Sequence[Case], labeled: Sequence[Case]) -> tuple[list[Case], dict[str, np.ndarray]]:
        """The cases that could be scored, and the fields, a row for each; `labeled` only with features wanted.

        Raises:
            UserError: E511 and E512, features of others; E393, a case whose fields are not finite numbers; else why a
                case cannot be scored.
        """
        facts = {} if self.features_of is None else self.features_of.facts
        if "features" in self.wanted:
            self._open_known(facts, [*cases, *labeled])
        pool = {case["id"] for case in cases}
        kept, seen, held = list[Case](), list[Case](), dict[str, list[np.ndarray]]()

        def compute(case: Case) -> dict[str, np.ndarray]:
            return self._checked_rows(case, self.wanted if case["id"] in pool else ("features",))

        def made_of(case: Case) -> str:  # rows of a case that was labeled meanwhile hold fields of the pool
            found = self._fingerprint(case)
            return found and f"{'pool' if case['id'] in pool else 'labeled'}: {found}"

        shared = SharedScoring(self.store, self._all_facts(), self.on_fault, self.on_progress)
        everything = [*cases, *labeled]
        with ExitStack() as stack:
            writers: dict[str, RowsWriter] = {}
            for case, known_as, rows in shared.computed(everything, compute, made_of):
                (kept if case["id"] in pool else seen).append(case)
                for name, row in rows.items():
                    if name not in FILES:
                        held.setdefault(name, []).append(row)
                        continue
                    if name not in writers:
                        place, by = self.store / FILES[name], self._facts(name, facts)
                        writers[name] = stack.enter_context(rows_written(place, by, len(everything)))
                    writers[name].add(case["id"], row, known_as.partition(": ")[2])
        fields = {name: np.stack(rows) for name, rows in held.items()}
        for name in writers:
            path = self.store / FILES[name]
            if kept:
                fields[name] = read_rows(path, self._facts(name, facts), [case["id"] for case in kept])
            if name == "features" and seen:
                fields["labeled"] = read_rows(path, facts, [case["id"] for case in seen])
        return kept, fields

    def _all_facts(self) -> dict[str, str]:
        """All that changes what is computed of a case."""
        facts = {"fields": " ".join(self.wanted)}
        if self.features_of is not None:
            facts |= {f"features {name}": value for name, value in self.features_of.facts.items()}
        if self.run is not None and self.scorer is not None:
            facts |= self.run.scoring_facts | self.scorer.facts
        return facts

    def _facts(self, name: str, facts: Mapping[str, str]) -> Mapping[str, str]:
        return facts if name == "features" or self.run is None else self.run.facts

    def _open_known(self, facts: Mapping[str, str], cases: Sequence[Case]) -> None:
        """What is on disk already: of a file that was named it must belong here, else it is made anew."""
        if self.features is not None:
            self._known = stored_rows(self.features, facts)
            for case in cases:
                made_of, image = self._known.made_of(case["id"]), self._fingerprint(case)
                if image and made_of not in (None, image):
                    cause = f"{self.features} does not belong here: its row of this case was made of another image"
                    raise UserError("E511", cause, AGAIN, case=case["id"])
        elif (self.store / FILES["features"]).is_file():
            try:
                self._known = stored_rows(self.store / FILES["features"], facts)
            except UserError as fault:
                if fault.code not in ("E511", "E512"):
                    raise

    def _fingerprint(self, case: Case) -> str:
        if case["id"] not in self._images:
            self._images[case["id"]] = fingerprint(Path(case["image"]))
        return self._images[case["id"]]

    def _checked_rows(self, case: Case, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        rows = self._rows(case, wanted)
        for name, row in rows.items():
            if not np.isfinite(row).all():
                cause = f"its {name.replace('_', ' ')} are not finite numbers"
                raise UserError("E393", cause, "Correct or remove the image", case=case["id"])
        return rows

    def _rows(self, case: Case, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        of_network = tuple(name for name in wanted if name != "features")
        rows: dict[str, np.ndarray] = {}
        image = None
        if of_network:
            assert self.run is not None
            assert self.scorer is not None
            image = self.run.image(case)
            rows = self.scorer.rows(image, case["id"], of_network)
        if "features" in wanted:
            rows["features"] = self._feature(case, image)
        return rows

    def _feature(self, case: Case, image: object) -> np.ndarray:
        known = None if self._known is None else self._known.row(case["id"], self._fingerprint(case))
        if known is not None:
            return known
        assert self.features_of is not None
        if image is None or self.features_of is not self.run:
            image = self.features_of.image(case)
        return pooled_bottleneck(self.features_of.network, image, self.features_of.inferer)  # type: ignore[arg-type]


def hidden_references(cases: Sequence[Case], datalist: Datalist | None, *, with_run: bool = True) -> dict[str, Case]:
    """Entries of the hidden references of all cases, by id, for an oracle.

    `with_run` is whether there is a network whose predictions could be asked instead.

    Raises:
        UserError: E517, a case has none.
    """
    hidden = {case["id"]: case for case in datalist.cases("hidden")} if datalist is not None else {}
    for case in cases:
        if case["id"] not in hidden:
            cause = "an oracle draws by true labels, and this case has no hidden reference"
            cure = "Take --strategy random"
            if with_run:
                cure = "Take --strategy predicted_foreground_random, which draws by the network's own predictions"
            raise UserError("E517", cause, cure, case=case["id"])
    return hidden


def true_foreground(
    cases: Sequence[Case], datalist: Datalist | None, *, with_run: bool
) -> tuple[list[Case], dict[str, np.ndarray]]:
    """The cases, and `foreground` (N, C): voxels of each class in their hidden references, for an oracle.

    `with_run` is whether there is a network whose predictions could be asked instead.

    Raises:
        UserError: E517, a case has no hidden reference; E2xx, one cannot be read.
    """
    hidden = hidden_references(cases, datalist, with_run=with_run)
    classes = len(datalist.labels) if datalist is not None else 0
    counts = []
    for case in cases:
        entry = hidden[case["id"]]
        reference = read_reference(
            entry["label"], range(classes), ignore=ignored_codes(entry), stored=stored_codes(entry), case=case["id"]
        )
        counts.append(np.bincount(reference.array.astype(np.int64).ravel(), minlength=classes)[1:classes])
    return list(cases), {"foreground": np.stack(counts)}
