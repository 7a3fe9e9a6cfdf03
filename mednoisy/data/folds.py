"""Who is held out in which fold of a cross-validation: whole patients, spread evenly over folds and centres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist_checks import Case, patient_of, patients_of
from mednoisy.errors import UserError


def patients_by_fold(labeled: Sequence[Case], folds: int, seed: int) -> list[list[str]]:
    """The patients that each fold holds out, in the order of the datalist; every patient once.

    The patients of a centre are shuffled among themselves and dealt out one by one, centre after centre: numbers of
    patients differ by one at most over the folds, and so do those of a centre. A patient is of the centre of its first
    case; cases that name none are together. Nothing but the labeled section and the seed decides.

    Args:
        labeled: the cases that keep their label.
        folds: how many, 2 to the number of patients.
        seed: of the run.

    Raises:
        UserError: E370, another number of folds.
    """
    order = patients_of(labeled)
    check_folds(folds, len(order))
    centre_of: dict[str, str] = {}
    for case in labeled:
        centre_of.setdefault(patient_of(case), case.get("centre", ""))
    dealt: list[str] = []
    for centre in dict.fromkeys(centre_of.values()):
        members = [patient for patient in order if centre_of[patient] == centre]
        places = Draw(seed, f"folds/{centre}", 0).generator().permutation(len(members))
        dealt += [members[place] for place in places]
    fold_of = {patient: place % folds for place, patient in enumerate(dealt)}
    return [[patient for patient in order if fold_of[patient] == fold] for fold in range(folds)]


def check_folds(folds: int, patients: int) -> None:
    """Refuse a number of folds that so many labeled patients cannot be split into (E370)."""
    if isinstance(folds, int) and 2 <= folds <= patients:
        return
    noun = "labeled patient" if patients == 1 else "labeled patients"
    most = f"Ask for 2 to {patients}" if patients > 2 else "Ask for 2" if patients == 2 else "Label a second patient"
    cause = f"{folds!r} folds are asked for; every one holds out at least one of {patients} {noun} and trains on others"
    raise UserError("E370", cause, f"{most}, or train without --folds")


def without_held_out(
    sections: Mapping[str, list[Case]], fold: int, folds: int, seed: int
) -> tuple[dict[str, list[Case]], list[Case]]:
    """The sections of one fold, and the cases that it holds out, which are its section `test`.

    Of held-out patients nothing is left in training, be it labeled, unlabeled or pseudo-labeled. Own validation and
    test cases take no part: what is scored is held out, and nothing is chosen.

    Raises:
        UserError: as `patients_by_fold`.
    """
    held_out = set(patients_by_fold(sections.get("labeled", []), folds, seed)[fold])
    kept = {
        section: [case for case in sections.get(section, []) if patient_of(case) not in held_out]
        for section in ("labeled", "unlabeled", "pseudo")
    }
    pool = {case["id"] for case in kept["unlabeled"] + kept["pseudo"]}
    hidden = [case for case in sections.get("hidden", []) if case["id"] in pool]
    test = [case for case in sections["labeled"] if patient_of(case) in held_out]
    pseudo = kept.pop("pseudo")
    with_pseudo = {"pseudo": pseudo} if pseudo else {}
    return {**kept, "validation": [], "test": test, "hidden": hidden, **with_pseudo}, test
