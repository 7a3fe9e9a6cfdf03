"""Who is held out in which fold, and what is left for training."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mednoisy.data.datalist import Datalist
from mednoisy.data.folds import patients_by_fold
from mednoisy.errors import UserError


def case(name: str, patient: str | None = None, centre: str | None = None, label: bool = True) -> dict[str, str]:
    named = {"patient": patient, "centre": centre, "label": f"/{name}_label" if label else None}
    return {"id": name, "image": f"/{name}", **{key: value for key, value in named.items() if value}}


@pytest.mark.parametrize(("patients", "folds"), [(2, 2), (3, 2), (7, 4), (8, 4), (11, 5), (5, 5)])
def test_every_patient_is_held_out_once_and_folds_are_of_one_size(patients, folds):
    cases = [case(f"p{n}") for n in range(patients)]
    held_out = patients_by_fold(cases, folds, seed=0)
    assert sorted(name for fold in held_out for name in fold) == sorted(item["id"] for item in cases)
    sizes = [len(fold) for fold in held_out]
    assert max(sizes) - min(sizes) <= 1
    assert all(fold == sorted(fold, key=lambda name: int(name[1:])) for fold in held_out)


def test_scans_of_a_patient_stay_together_and_centres_are_spread():
    """Random patients, some with several scans, of three centres: at most one more of a centre in one fold."""
    generator = np.random.default_rng(3)
    for seed in range(20):
        centre_of = {f"p{n}": "ABC"[generator.integers(3)] for n in range(generator.integers(6, 20))}
        scans = [(patient, scan) for patient in centre_of for scan in range(generator.integers(1, 4))]
        cases = [case(f"{patient}-{scan}", patient, centre_of[patient]) for patient, scan in scans]
        held_out = patients_by_fold(cases, 3, seed)
        assert sorted(patient for fold in held_out for patient in fold) == sorted(centre_of)
        for centre in "ABC":
            counts = [Counter(centre_of[patient] for patient in fold)[centre] for fold in held_out]
            assert max(counts) - min(counts) <= 1, (seed, centre)


def test_the_seed_decides_and_a_known_one_gives_known_folds():
    """Written down once, so that a change of the draw is seen: folds of a run must never change."""
    cases = [case(f"p{n}") for n in range(6)]
    assert patients_by_fold(cases, 3, seed=0) == KNOWN
    assert len({str(patients_by_fold(cases, 3, seed)) for seed in range(10)}) > 5


KNOWN = [["p2", "p5"], ["p0", "p3"], ["p1", "p4"]]


@pytest.fixture
def datalist() -> Datalist:
    """Patients a, b (two labeled scans, one without, one pseudo-labeled) and c; own validation and test cases."""
    pseudo = {**case("b4", "b"), "confidence": "/b4_confidence"}
    sections = {
        "labeled": [case("a1", "a"), case("b1", "b"), case("b2", "b"), case("c1", "c")],
        "unlabeled": [case("b3", "b", label=False), case("u1", label=False)],
        "pseudo": [pseudo, {**case("u2"), "confidence": "/u2_confidence"}],
        "validation": [case("v1")],
        "test": [case("t1")],
        "hidden": [{"id": name, "label": f"/{name}_hidden"} for name in ("b3", "u1", "b4", "u2")],
    }
    return Datalist("toy", {0: "MR"}, {0: "background", 1: "organ"}, sections, protocol="Whole.", ignore=(255,))


def ids(datalist: Datalist, section: str) -> list[str]:
    return [item["id"] for item in datalist.cases(section)]


def test_nothing_of_a_held_out_patient_is_left_in_training(datalist):
    number = next(n for n, fold in enumerate(patients_by_fold(datalist.cases("labeled"), 3, 0)) if fold == ["b"])
    fold = datalist.with_fold([number, 3])
    sections = {section: ids(fold, section) for section in ("labeled", "unlabeled", "pseudo", "hidden")}
    assert sections == {"labeled": ["a1", "c1"], "unlabeled": ["u1"], "pseudo": ["u2"], "hidden": ["u1", "u2"]}
    assert (ids(fold, "test"), ids(fold, "validation")) == (["b1", "b2"], [])
    assert fold.cases("test")[0]["label"] == "/b1_label"
    assert fold.protocol == f"Fold {number} of 3 (numbered from 0): 2 labeled cases held out and scored. Whole."
    assert datalist.with_fold(None) is datalist


def test_folds_depend_on_labeled_patients_alone(datalist):
    """Neither further unlabeled scans nor own test cases move anybody to another fold."""
    less = Datalist("toy", {0: "MR"}, datalist.labels, {"labeled": datalist.cases("labeled"), "hidden": []})
    for number in range(3):
        assert ids(less.with_fold([number, 3]), "test") == ids(datalist.with_fold([number, 3]), "test")


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ([0, 1], r"E370 1 folds are asked for; .* 3 labeled patients .* Ask for 2 to 3, or train without --folds\."),
        ([0, 4], r"E370 4 folds are asked for; .* Ask for 2 to 3,"),
        ([3, 3], r"E371 fold is 3 of 3\. Number folds from 0 to 2\."),
        ([-1, 3], r"E371 fold is -1 of 3\."),
        (2, r"E371 fold is 2\. Give its number from 0 and the number of folds, as \[0, 4\]\."),
        ("0", r"E371 fold is '0'\."),
        ([0, 2.0], r"E371 fold is \[0, 2\.0\]\."),
        ([True, 2], r"E371 fold is \[True, 2\]\."),
    ],
)
def test_folds_that_cannot_be_are_refused(datalist, fold, message):
    with pytest.raises(UserError, match=f"^{message}"):
        datalist.with_fold(fold)


@pytest.mark.parametrize(
    ("patients", "cure"), [(0, "Label a second patient"), (1, "Label a second patient"), (2, "Ask for 2")]
)
def test_too_few_labels_for_any_fold(patients, cure):
    with pytest.raises(UserError, match=f"E370 4 folds .*{cure}, or train without --folds"):
        patients_by_fold([case(f"p{n}") for n in range(patients)], 4, 0)
