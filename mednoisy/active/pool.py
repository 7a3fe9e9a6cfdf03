"""What a strategy chooses from, and what it has chosen so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mednoisy.active.regions import Clashes, Regions, even_share
from mednoisy.data.counter_based_random import Draw
from mednoisy.errors import UserError

NEAR = 0.01  # of the pool's spread: features nearer to each other than that show the same thing
BLOCK = 65536  # rows of features that are looked at together


@dataclass(frozen=True)
class Pool:
    """Unlabeled cases, and all that is known of each; arrays have a row a case, in the order of `ids`.

    Which of the fields a strategy needs is said by the strategy; what it needs and the pool lacks is refused by
    `needed`. Features and gradients may be memory-mapped.

    Attributes:
        ids: of the cases (or slices, or boxes) that may be chosen.
        features: (N, D), see `features.py`.
        labeled: (L, D), features of what has labels already.
        uncertainty: (N), the score that strategies by uncertainty rank by; higher is more uncertain.
        class_uncertainty: (N, 1 + C), of ClaSP PE: in general, then weighted by each foreground class.
        gradients: (N, G), of BADGE.
        foreground: (N, C), voxels of each foreground class, predicted, or true for an oracle.
        patients: whose case it is.
        regions: where each lies in its case, of slices and boxes; None of whole cases.
        what: is chosen, for messages.
        round, rounds: number of this query from 0, and how many trainings there will be in all.
    """

    ids: Sequence[str]
    features: np.ndarray | None = None
    labeled: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    class_uncertainty: np.ndarray | None = None
    gradients: np.ndarray | None = None
    foreground: np.ndarray | None = None
    patients: Sequence[str] | None = None
    regions: Regions | None = None
    what: str = "cases"
    round: int = 0
    rounds: int = 5

    def needed(self, name: str, strategy: str) -> np.ndarray:
        """A field that a strategy cannot do without.

        Raises:
            UserError: E393, it is absent, holds NaN or infinity, or is equal for all cases and so tells none apart.
        """
        values = getattr(self, name)
        words = name.replace("_", " ")
        if values is None:
            cause = f"the strategy {strategy} needs {words}, which these cases have not"
            raise UserError("E393", cause, "Take another --strategy, such as random")
        if len(values) != len(self.ids):
            raise ValueError(f"{len(values)} rows of {name} for {len(self.ids)} cases")
        different = False
        for start in range(0, len(values), BLOCK):
            block = np.asarray(values[start : start + BLOCK])
            finite = np.isfinite(block.reshape(len(block), -1)).all(axis=1)
            if not finite.all():
                case = self.ids[start + int(finite.argmin())]
                cause = f"its {words} are not finite numbers"
                raise UserError("E393", cause, "Make them again, or leave the case out", case=case)
            different = different or bool((block != values[0]).any())
        if not different and len(values) > 1:
            cause = f"all {len(values)} {self.what} have the same {words}, which tell none from another"
            raise UserError("E393", cause, "Take --strategy random")
        return values

    def labeled_features(self, width: int) -> np.ndarray:
        """(L, D), none where nothing is labeled."""
        return np.zeros((0, width), np.float32) if self.labeled is None else np.asarray(self.labeled)


@dataclass(frozen=True)
class Pick:
    """A case that was chosen, and why.

    Attributes:
        index: its row in the pool.
        id: of the case.
        score: what it was chosen by; what that means is the strategy's.
        reason: a sentence for a reader.
    """

    index: int
    id: str
    score: float
    reason: str


@dataclass
class Batch:
    """What has been chosen: a strategy offers cases, best first, and the batch takes or refuses them.

    It refuses what it has, a second case of one patient and near-duplicates of a chosen case, unless these are asked
    for: a strategy that ranks by uncertainty alone would choose the same thing ten times. Of slices and boxes it
    refuses what lies near a chosen one or in it, and of a patient more than `per_patient`.

    Args:
        pool: to choose from.
        budget: how many.
        same_patient, duplicates: whether the batch may hold such.
        near: features up to that distance are near-duplicates; None for `NEAR` of the pool's spread, 0 for none.
        per_patient: how many slices or boxes of a patient it takes; None for `even_share`.

    Raises:
        UserError: E394, the pool has fewer cases than the budget, or the budget is none.
    """

    pool: Pool
    budget: int
    same_patient: bool = False
    duplicates: bool = False
    picks: list[Pick] = field(default_factory=list)
    near: float | None = None
    per_patient: int | None = None
    clashes: Clashes | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.budget <= len(self.pool.ids):
            cause = f"{self.budget} {self.pool.what} are asked for, {len(self.pool.ids)} can be chosen"
            cure = f"Ask for {self._budgets()}" if len(self.pool.ids) else "Nothing is left to label"
            raise UserError("E394", cause, cure)
        if self.near is None:
            features = None if self.duplicates else self.pool.features
            self.near = 0.0 if features is None else NEAR * spread(features)
        if self.pool.regions is not None:
            self.clashes = self._clashes(self.pool.regions)

    def _clashes(self, regions: Regions) -> Clashes:
        whose = regions.case if self.pool.patients is None else self.pool.patients
        names, patients = np.unique(np.asarray(whose), return_inverse=True)
        most = self.per_patient
        if most is None and not self.same_patient:
            most = even_share(self.budget, len(names))
        self.per_patient = most
        return Clashes(regions, patients, most, near=self.duplicates)

    @property
    def full(self) -> bool:
        return len(self.picks) == self.budget

    @property
    def indices(self) -> list[int]:
        return [pick.index for pick in self.picks]

    def admits(self, index: int) -> bool:
        """Whether the batch would take a case."""
        if self.full or index in self.indices:
            return False
        if self.clashes is not None:
            return bool(self.clashes.open[index])
        return not (self._of_chosen_patient(index) or self._like_a_chosen_one(index))

    def _of_chosen_patient(self, index: int) -> bool:
        patients = self.pool.patients
        return patients is not None and not self.same_patient and patients[index] in {patients[i] for i in self.indices}

    def _like_a_chosen_one(self, index: int) -> bool:
        if not self.near or not self.picks or self.pool.features is None:
            return False
        feature = np.asarray(self.pool.features[index], np.float64)
        chosen = np.asarray(self.pool.features[self.indices], np.float64)
        return bool(np.linalg.norm(chosen - feature, axis=1).min() <= self.near)

    def offer(self, index: int, score: float, reason: str) -> bool:
        """Take a case if it is admitted; whether it was."""
        if not self.admits(int(index)):
            return False
        self.picks.append(Pick(int(index), self.pool.ids[index], float(score), reason))
        if self.clashes is not None:
            self.clashes.take(int(index))
        return True

    def offer_ranked(self, scores: np.ndarray, reason: str) -> None:
        """Offer cases by their score, highest first and the first of equal ones, until the batch is full."""
        for index in np.argsort(-scores, kind="stable"):
            if self.full:
                return
            self.offer(index, scores[index], reason.format(score=scores[index]))

    def done(self) -> list[Pick]:
        """What was chosen.

        Raises:
            UserError: E394, no more cases were admitted.
        """
        if not self.full:
            cause = f"only {len(self.picks)} of {self.budget} cases are neither near-duplicates nor of one patient"
            if self.clashes is not None:
                most = f", {self.per_patient} of a patient at most" if self.per_patient else ""
                cause = f"only {len(self.picks)} of {self.budget} {self.pool.what} lie apart{most}"
            options = " ".join(self._refusing_options())
            cure = f"Ask for {max(len(self.picks), 1)}" + (f", or allow them with {options}" if options else "")
            raise UserError("E394", cause, cure)
        return self.picks

    def _budgets(self) -> str:
        """Those that can be met, in words."""
        cases, patients = len(self.pool.ids), len(set(self.pool.patients or self.pool.ids))
        if self.same_patient or self.pool.regions is not None or patients == cases:
            return f"1 to {cases}"
        return f"1 to {patients}, or for up to {cases} with --same-patient"

    def _refusing_options(self) -> list[str]:
        """The options without which some of the cases that were not chosen are refused."""
        if self.clashes is not None:
            return [*(["--same-patient"] if self.per_patient else []), *([] if self.duplicates else ["--duplicates"])]
        left = {*range(len(self.pool.ids))} - {*self.indices}
        checks = {"--same-patient": self._of_chosen_patient, "--duplicates": self._like_a_chosen_one}
        return [option for option, refuses in checks.items() if any(refuses(index) for index in left)]


def spread(features: np.ndarray) -> float:
    """Root mean square distance of features (N, D) from their mean; of a sample of 4,096 where there are more."""
    step = max(len(features) // 4096, 1)
    sample = np.asarray(features[::step], np.float64)
    return float(np.sqrt(((sample - sample.mean(axis=0)) ** 2).sum(axis=1).mean()))


def query_draw(seed: int, number: int) -> Draw:
    """The source of everything random in the `number`-th query."""
    return Draw(seed, "query", number)
