"""Whom statistics take for one, in words: patients, scenes, or cases for want of these."""

from __future__ import annotations

from collections.abc import Sequence

from mednoisy.report.number_format import counted
from mednoisy.report.reading.runs import Run, patients_of


def patient_noun(runs: Sequence[Run]) -> str:
    """What the cases of these runs are resampled by: `patient`, `scene` where that is all that is known, or both."""
    cases = [case for run in runs for case in run.summary.cases if case.drawn_with]
    scenes = sum(case.patient is None for case in cases)
    return "patient" if not scenes else "scene" if scenes == len(cases) else "patient or scene"


def who_varies(runs: Sequence[Run]) -> str:
    """One sentence that says whom intervals and tests take for one: patients, scenes, or cases for want of these."""
    patient_of = patients_of(runs)
    cases = {str(row["case"]) for run in runs for row in run.metrics}
    known = cases & patient_of.keys()
    if not known:
        return (
            "No case names its patient, so that intervals and tests take each for a patient of its own: they are too "
            "sure if several show one patient."
        )
    noun = patient_noun(runs)
    sentence = f"Intervals and tests are by {noun}: "
    sentence += f"{counted(len(known), 'case')} of {counted(len({patient_of[case] for case in known}), noun)}"
    if alone := len(cases) - len(known):
        sentence += f", and {counted(alone, 'case')} without one, each for itself"
    return f"{sentence}."
