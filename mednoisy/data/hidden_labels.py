"""Who keeps a label where only some shall: the first patients of a datalist; the references of the rest are hidden."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mednoisy.data.datalist_checks import Case, patient_of, patients_of
from mednoisy.errors import UserError


def with_labels_hidden(
    sections: Mapping[str, list[Case]], labeled: int | None, validation: int, called: str
) -> dict[str, list[Case]]:
    """The sections of a semi-supervised split; see `Datalist.with_labeled`.

    Args:
        sections: of a datalist.
        labeled: how many cases or patients keep their label; None keeps all.
        validation: how many join the section `validation`, the last of the pool that have a reference.
        called: the datalist, to a user.

    Raises:
        UserError: E217 where there are not so many, or where one is no whole number.
    """
    for name, number in (("labeled", labeled), ("validation", validation)):
        if number is not None and not isinstance(number, int):
            raise UserError("E217", f"{number!r} {name} cases are asked for", "Ask for a whole number")
    known = sections.get("labeled", [])
    pseudo = sections.get("pseudo", [])
    kept = _kept(known, labeled, called)
    moved = [case for case in known if patient_of(case) not in kept]
    pool = [{key: value for key, value in case.items() if key != "label"} for case in moved]
    pool += sections.get("unlabeled", [])
    references = {case["id"]: case["label"] for case in moved + sections.get("hidden", [])}
    trained = kept | set(patients_of(pseudo))
    free = [case for case in pool if patient_of(case) not in trained and os.path.isfile(references.get(case["id"], ""))]
    choosing = _choosing(free, validation)
    split = {
        "labeled": [case for case in known if patient_of(case) in kept],
        "unlabeled": [case for case in pool if patient_of(case) not in choosing],
        "validation": sections.get("validation", [])
        + [{**case, "label": references[case["id"]]} for case in free if patient_of(case) in choosing],
        "test": sections.get("test", []),
        "hidden": [
            {"id": case["id"], "label": references[case["id"]]}
            for case in pool + pseudo
            if case["id"] in references and patient_of(case) not in choosing
        ],
    }
    return {**split, "pseudo": pseudo} if pseudo else split


def _kept(known: list[Case], labeled: int | None, called: str) -> set[str]:
    """The patients who keep their labels (E217)."""
    order = patients_of(known)
    if labeled is not None and not 1 <= labeled <= len(order):
        what = "labeled patients" if any("patient" in case for case in known) else "labeled cases"
        cause = f"{labeled} {what} are asked for; {called} has {len(order)}"
        raise UserError("E217", cause, f"Ask for 1 to {len(order)}" if order else "Label some cases first")
    return set(order[:labeled])


def _choosing(free: list[Case], validation: int) -> set[str]:
    """The patients who become validation cases, out of those that have a reference and no label (E217)."""
    candidates = patients_of(free)
    if not 0 <= validation <= len(candidates):
        what = "unlabeled patients" if any("patient" in case for case in free) else "unlabeled cases"
        cause = f"{validation} validation cases are asked for; {len(candidates)} {what} have a reference"
        fewer = f"--validation {len(candidates)} or less" if candidates else "--validation 0"
        raise UserError("E217", cause, f"Use {fewer}, or keep fewer labels")
    return set(candidates[len(candidates) - validation :])
