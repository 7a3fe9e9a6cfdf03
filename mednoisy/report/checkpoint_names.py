"""How a checkpoint is called where a person reads it, and how it was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from mednoisy.report.reading.runs import Run

CHOICES = {
    "honest": "the best on validation cases that are in no other section",
    "chosen": "the best on the very cases that are scored here, for want of test cases, so it flatters",
    "final": "the last one, without any choice",
    "published": "chosen as the published code does: the best on the test cases themselves, so it flatters",
    "given": "label maps from elsewhere, scored as they are",
}


def checkpoint_name(checkpoint: str, *, validated: bool = True, step: int | None = None) -> str:
    """The name of a checkpoint, in brackets what the honest one was best on, and the step.

    Args:
        checkpoint: its key in `summary.json`.
        validated: whether there were validation cases; without them the last checkpoint stands in for the honest one.
        step: of training; None leaves it out.
    """
    remarks = []
    if checkpoint == "honest":
        remarks.append("best on validation" if validated else "no validation: the last")
    if checkpoint == "chosen":
        remarks.append("best on the cases scored")
    if step is not None:
        remarks.append(f"step {step}")
    return f"{checkpoint} ({', '.join(remarks)})" if remarks else checkpoint


def any_validated(runs: Sequence[Run]) -> bool:
    """Whether any of the runs had validation cases, or does not say how many it had."""
    return any(run.facts.get("validation") != 0 for run in runs)


def choice(checkpoint: str, *, validated: bool = True) -> str:
    """How a checkpoint was chosen, in words that follow "means"; `validated` as for `checkpoint_name`."""
    if checkpoint == "honest" and not validated:
        return "the last one here: there were no validation cases to choose by"
    return CHOICES[checkpoint]
