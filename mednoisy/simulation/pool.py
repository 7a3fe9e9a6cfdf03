"""The pool of a simulation: cases whose labels are known and are revealed patient by patient, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mednoisy.active.catalogue import STRATEGIES, choose
from mednoisy.active.pool import Pick, Pool
from mednoisy.data.axis_order import coarsest_axis
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case, patient_of, patients_of
from mednoisy.data.image import Image
from mednoisy.data.label_maps import read_reference
from mednoisy.errors import UserError


def needs_no_network(strategy: str) -> bool:
    """Whether a strategy chooses without a network: at random, or as an oracle by the true labels."""
    entry = STRATEGIES[strategy]
    return entry.oracle or not entry.needs


@dataclass(frozen=True)
class Cost:
    """What has been labeled.

    Attributes:
        patients, cases: how many; a picture or a volume is a case.
        slices: that show any foreground, along the axis of the coarsest voxels (the last where none is coarser); of
            pictures, how many show any.
        foreground: voxels of all classes but the background.
        share: of the pool's foreground voxels, in [0, 1].
    """

    patients: int
    cases: int
    slices: int
    foreground: int
    share: float


@dataclass(frozen=True)
class LabeledPool:
    """Every training case of a dataset that has a reference, labeled or hidden, in the order of the datalist.

    Attributes:
        datalist: as it is loaded.
        cases: the pool, each with its label.
    """

    datalist: Datalist
    cases: Sequence[Case]

    @classmethod
    def load(cls, data: Path, codes: int | None = None) -> LabeledPool:
        """The pool of a prepared dataset.

        Args:
            codes: as for `Datalist.load`.

        Raises:
            UserError: as `Datalist.load`; E533, no test case scores what is trained.
        """
        datalist = Datalist.load(data / "datalist.json", codes=codes)
        if not datalist.sections.get("test"):
            cause = f"{data / 'datalist.json'} lists no test case, which a simulation scores its networks on"
            raise UserError("E533", cause, "List some labeled cases in the section 'test'")
        hidden = {case["id"]: case["label"] for case in datalist.sections.get("hidden", [])}
        unlabeled = [case for case in datalist.sections.get("unlabeled", []) if case["id"] in hidden]
        revealed = [{**case, "label": hidden[case["id"]]} for case in unlabeled]
        return cls(datalist, [*datalist.sections.get("labeled", []), *revealed])

    @cached_property
    def patients(self) -> list[str]:
        """Each once, in order; a case that names none is a patient of its own."""
        return patients_of(list(self.cases))

    @property
    def without_reference(self) -> int:
        """How many unlabeled cases take no part, because nothing could be revealed of them."""
        return (
            len(self.datalist.sections.get("unlabeled", []))
            + len(self.datalist.sections.get("labeled", []))
            - len(self.cases)
        )

    def check_size(self, start: int, budget: int, rounds: int, learners: Mapping[str, int] | None = None) -> None:
        """Refuse a pool that is used up before the last round, or that may leave too little in it for a method.

        Args:
            learners: names of methods that learn from what has no label, and how many different cases a step of each
                draws.

        Raises:
            UserError: E531; E590, the last round leaves some unlabeled cases, but perhaps too few.
        """
        wanted = start + rounds * budget
        cure = "Lower --start, --budget or --rounds"
        if wanted > len(self.patients):
            noun = "patients" if any("patient" in case for case in self.cases) else "cases"
            cause = (
                f"{start} at the start and {rounds} rounds of {budget} are {wanted} {noun}; "
                f"the pool has {len(self.patients)} with a reference"
            )
            raise UserError("E531", cause, cure)
        name, most = max((learners or {}).items(), key=lambda learner: learner[1], default=("", 0))
        if name and wanted == len(self.patients):
            cause = f"the last round leaves no unlabeled case, which {name} learns from"
            raise UserError("E531", cause, cure)
        cases = sorted(Counter(map(patient_of, self.cases)).values())[: len(self.patients) - wanted]
        if sum(cases) < most:
            cause = f"a step of {name} draws {most} unlabeled cases, and the last round may leave {sum(cases)}"
            raise UserError("E590", cause, f"{cure}, or the batch (--set batch_size=N)")

    def chosen(
        self, strategy: str, budget: int, draw: Draw, labeled: Collection[str] = (), number: int = 0, rounds: int = 5
    ) -> list[Pick]:
        """What a strategy that needs no network chooses, one case a patient.

        Args:
            labeled: patients who have labels.
            number, rounds: as `Pool` has them.

        Raises:
            UserError: as `catalogue.choose`.
        """
        left = [case for case in self.cases if patient_of(case) not in labeled]
        pool = Pool(
            ids=[case["id"] for case in left],
            foreground=self._foreground(left) if STRATEGIES[strategy].oracle else None,
            patients=[patient_of(case) for case in left],
            round=number,
            rounds=rounds,
        )
        return choose(pool, strategy, budget, draw)

    def patients_of_picks(self, picks: Sequence[Pick]) -> list[str]:
        """Whose cases were picked.

        Raises:
            UserError: E536, a case that was chosen is not of this pool.
        """
        known = {case["id"]: patient_of(case) for case in self.cases}
        for pick in picks:
            if pick.id not in known:
                cause = "it was chosen, and is none of the dataset's cases with a reference"
                raise UserError("E536", cause, "Start from a run on the same dataset", case=pick.id)
        return list(dict.fromkeys(known[pick.id] for pick in picks))

    def datalist_with(self, labeled: Sequence[str]) -> Datalist:
        """The dataset of one training: the labels of these patients, in this order; those of all others are hidden.

        There is no section `validation`: labels that choose a checkpoint would be labels that nobody counts.
        """
        place = {patient: number for number, patient in enumerate(labeled)}
        shown = sorted(
            (case for case in self.cases if patient_of(case) in place), key=lambda case: place[patient_of(case)]
        )
        left = [case for case in self.cases if patient_of(case) not in place]
        sections: dict[str, list[Case]] = {
            "labeled": shown,
            "unlabeled": [{key: value for key, value in case.items() if key != "label"} for case in left],
            "validation": [],
            "test": self.datalist.sections["test"],
            "hidden": [{"id": case["id"], "label": case["label"]} for case in left],
        }
        protocol = f"Simulated annotation: {len(labeled)} patients labeled, no validation cases."
        return replace(self.datalist, sections=sections, protocol=f"{protocol} {self.datalist.protocol}".strip())

    def cost(self, labeled: Collection[str]) -> Cost:
        """Of labeling all cases of these patients.

        Raises:
            UserError: E201 to E209, E223, E224, a label that cannot be read.
        """
        shown = [case for case in self.cases if patient_of(case) in set(labeled)]
        slices = sum(self._counts[case["id"]][0] for case in shown)
        foreground = int(self._foreground(shown).sum())
        total = int(self._foreground(self.cases).sum())
        share = foreground / total if total else 0.0
        return Cost(len(set(labeled)), len(shown), slices, foreground, share)

    def _foreground(self, cases: Sequence[Case]) -> np.ndarray:
        """(N, C), voxels of each foreground class."""
        counts = [self._counts[case["id"]][1] for case in cases]
        return np.array(counts, dtype=np.int64).reshape(len(cases), len(self.datalist.labels) - 1)

    @cached_property
    def _counts(self) -> Mapping[str, tuple[int, np.ndarray]]:
        """Of each case, the slices that show foreground and the voxels of each foreground class."""
        stored = self.datalist.codes if self.datalist.as_source else ()
        classes = len(self.datalist.labels)
        counts = {}
        for case in self.cases:
            label = read_reference(
                case["label"], range(classes), ignore=self.datalist.ignore, stored=stored, case=case["id"]
            )
            counts[case["id"]] = _slices(label, classes), _voxels(label, classes)
        return counts


def _voxels(label: Image, classes: int) -> np.ndarray:
    values = label.array[label.array < classes].astype(np.int64)  # without what is ignored
    return np.bincount(values.ravel(), minlength=classes)[1:]


def _slices(label: Image, classes: int) -> int:
    shown = (label.array > 0) & (label.array < classes)
    if shown.ndim == 2:
        return int(shown.any())
    coarsest = coarsest_axis(label.spacing) if label.located else None
    axis = shown.ndim - 1 if coarsest is None else coarsest
    return int(shown.any(axis=tuple(other for other in range(shown.ndim) if other != axis)).sum())
