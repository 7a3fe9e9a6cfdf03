"""What is asked of a query, and what nothing can answer."""

from __future__ import annotations

from dataclasses import dataclass

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.scoring import checked_pooling
from mednoisy.errors import UserError, did_you_mean
from mednoisy.queries.scored_regions import POOLED_OVER, check_unit

FROM_NETWORK = ("uncertainty", "class_uncertainty", "gradients", "foreground")  # that only a segmentation can tell


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        strategy: of `active.catalogue.STRATEGIES`.
        budget: how many cases, slices or boxes.
        seed, number: of the query, from 0; all that is random follows from both.
        rounds: trainings that there will be in all, which ClaSP PE's noise fades with.
        pooling: from a map of uncertainty to a case's score; None for `scoring.DEFAULT_POOLING`.
        members: whose opinions are compared, of `active.members.KINDS`; None as `chosen_members` has it.
        same_patient, duplicates: whether the answer may hold several cases of a patient, or near-duplicates; of slices
            and boxes any number of a patient, or such as lie beside or in one another.
        unit: what is chosen, of `regions.UNITS`.
        box: voxels of a box to the patient's right, front and top; of pictures along rows and columns.
        per_patient: how many slices or boxes of a patient are chosen at most; None for `regions.even_share`.
    """

    strategy: str
    budget: int
    seed: int = 0
    number: int = 0
    rounds: int = 5
    pooling: str | None = None
    members: str | None = None
    same_patient: bool = False
    duplicates: bool = False
    unit: str = "case"
    box: tuple[int, ...] = ()
    per_patient: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields of the pool that the strategy reads."""
        return STRATEGIES[self.strategy].needs


def check_question(question: Question, *, with_run: bool, with_features: bool) -> None:
    """Refuse what nothing can answer, before anything heavy is loaded.

    Args:
        with_run: whether there is a finished run to score cases.
        with_features: whether there is a run, perhaps of a pretext, to take features from.

    Raises:
        UserError: E395, an unknown strategy; E515, as `checked_pooling`; E516, no network for what it needs; E527, as
            `check_unit`, or a pooling that knows whole cases alone.
    """
    if question.strategy not in STRATEGIES:
        raise UserError("E395", f"unknown strategy {question.strategy!r}", did_you_mean(question.strategy, STRATEGIES))
    checked_pooling(question.pooling)
    _check_unit(question)
    if STRATEGIES[question.strategy].oracle:
        return
    if not with_run and {*question.needs} & {*FROM_NETWORK}:
        cause = f"the strategy {question.strategy} asks a trained network, and there is none"
        raise UserError("E516", cause, "Give the folder of a run in place of the dataset, or --strategy random")
    if not with_features and "features" in question.needs:
        cause = f"the strategy {question.strategy} compares features, and those of an untrained network tell nothing"
        cure = "Train a pretext on the same images and give --features-of RUN: "
        cure += "mednoisy train BUNDLE --data data/mine --method restoration --output RUN; or take --strategy random"
        raise UserError("E516", cause, cure)


def _check_unit(question: Question) -> None:
    """Refuse what cannot be asked of slices and boxes (E527)."""
    check_unit(question.unit, question.box)
    if question.unit == "case":
        if question.per_patient is not None:
            cure = (
                "Add --unit slice or --unit box, or drop it; --same-patient lets several cases of a patient be chosen"
            )
            raise UserError("E527", "--per-patient counts slices or boxes, and cases are asked for", cure)
        return
    if question.pooling not in (None, *POOLED_OVER):
        cause = f"--pooling {question.pooling} is of whole cases, not of a {question.unit}"
        raise UserError("E527", cause, f"Give --pooling {' or '.join(POOLED_OVER)}")
    if question.same_patient and question.per_patient is not None:
        cause = "--same-patient and --per-patient contradict each other"
        raise UserError("E527", cause, "Drop one of them")
