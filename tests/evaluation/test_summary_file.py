"""`summary.json`: what is written is what is read, earlier files are read, damaged ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mednoisy.errors import UserError
from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.summary_file import (
    CheckpointFigures,
    FailedCase,
    GivenLabelMaps,
    RunSummary,
    ScoredCase,
    package_versions,
    read_summary,
    write_summary,
)

DICE = MetricFigures(0.8, 0.1, 0.85, (0.7, 0.9), (0.75, 0.85), 3, 1, 2)
ONE_CASE = MetricFigures(0.5, None, 0.5, (0.5, 0.5), None, 1, 0, 1, 12.5)
NO_CASE = MetricFigures(None, None, None, None, None, 0, 4)
FIGURES = PredictorFigures({1: {"dice": DICE, "hd95": ONE_CASE}, 12: {"dice": NO_CASE}}, {"dice": DICE}, 4)
TRAINED = RunSummary(
    facts={"method": "sdcl", "recipe": "strong", "seconds": 12.3, "centres_in_training": ["a"], "spacing": [1, 2.5]},
    labels={0: "background", 1: "Vorhof", 12: "wall"},
    deployed="mean",
    shown="honest",
    checkpoints={
        "honest": CheckpointFigures(400, {"mean": FIGURES, "a": FIGURES}),
        "final": CheckpointFigures(500, {"mean": FIGURES}),
    },
    undefined=5,
    cases=(
        ScoredCase("c1", "labels/c1.nii.gz", "predictions/c1.nii.gz", "images/c1.nii.gz", "a", "p1", None, 75.5),
        ScoredCase("c2", "labels/c2.nii.gz", "predictions/c2.nii.gz", ("images/c2_0.nii.gz", "images/c2_1.nii.gz")),
        ScoredCase("c3", "labels/c3.nii.gz", "predictions/c3.nii.gz"),
        ScoredCase("c4", "labels/c4.nii.gz", "predictions/c4.nii.gz", scene="s7"),
    ),
    versions={"numpy": "2.0", "python": "3.11"},
)
GIVEN = RunSummary(
    facts={"title": "theirs", "spacing_unit": "pixel", "tolerance": 1.0, "strict": False},
    labels={1: "class 1"},
    deployed="prediction",
    shown="given",
    checkpoints={"given": CheckpointFigures(None, {"prediction": FIGURES})},
    undefined=0,
    cases=(ScoredCase("ü", "/r/ü.png", "/p/ü.png"),),
    label_maps=GivenLabelMaps(
        None, {255: 1, 7: 0}, (FailedCase("x", "E202 it is empty"),), ("turned: ü",), (9,), {"reference": 254}
    ),
    versions={},
)


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def changed(folder: Path, **entries: Any) -> Path:
    """A summary with other entries; None takes one away."""
    write_summary(folder, TRAINED)
    kept = {name: entry for name, entry in (content(folder) | entries).items() if entry is not None}
    (folder / "summary.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


@pytest.mark.parametrize("summary", [TRAINED, GIVEN], ids=["trained", "given"])
def test_what_is_written_is_what_is_read(summary, tmp_path):
    write_summary(tmp_path, summary)
    assert read_summary(tmp_path) == summary


def test_entries_are_those_that_programs_rely_on(tmp_path):
    """A training run has none of the entries that tell how label maps from elsewhere were read."""
    write_summary(tmp_path, TRAINED)
    trained = content(tmp_path)
    first = ["schema", "run", "labels", "deployed", "shown", "checkpoints", "undefined", "cases"]
    assert list(trained) == [*first, "versions"]
    assert trained["checkpoints"]["honest"]["predictors"]["mean"]["classes"]["1"]["dice"] == {
        "mean": 0.8, "sd": 0.1, "median": 0.85, "quartiles": [0.7, 0.9], "interval": [0.75, 0.85],
        "n": 3, "undefined": 1, "patients": 2, "penalised": None,
    }  # fmt: skip
    assert list(trained["checkpoints"]["honest"]["predictors"]["mean"]) == ["classes", "all", "cases"]
    assert trained["cases"][1]["image"] == ["images/c2_0.nii.gz", "images/c2_1.nii.gz"]
    assert list(trained["cases"][2]) == ["id", "reference", "prediction"]
    write_summary(tmp_path, GIVEN)
    given = content(tmp_path)
    assert list(given) == [*first, "codes", "mapping", "failed", "notes", "ignored", "white", "versions"]
    assert (given["codes"], given["mapping"]) == (None, {"255": 1, "7": 0})
    assert given["failed"] == [{"id": "x", "reason": "E202 it is empty"}]


def test_numbers_of_numpy_are_numbers(tmp_path):
    """And what is no number is refused before the file is touched."""
    summary = RunSummary({"method": "m", "seed": np.int64(3)}, {}, "a", "honest", {}, 0, ())
    write_summary(tmp_path, summary)
    assert read_summary(tmp_path).facts == {"method": "m", "seed": 3}
    before = (tmp_path / "summary.json").read_bytes()
    for value, fault in ((float("nan"), ValueError), (Path("x"), TypeError)):
        with pytest.raises(fault):
            write_summary(tmp_path, RunSummary({"method": "m", "fact": value}, {}, "a", "honest", {}, 0, ()))
    assert (tmp_path / "summary.json").read_bytes() == before


def test_an_earlier_schema_is_read(tmp_path):
    """Schema 1 has neither `shown`, then honest, nor what tells of label maps from elsewhere."""
    summary = read_summary(changed(tmp_path, schema=1, shown=None))
    assert summary == TRAINED
    assert read_summary(changed(tmp_path, schema=2)) == TRAINED
    assert summary.codes == (0, 1, 12)
    assert (summary.mapping, summary.failed, summary.notes) == ({}, (), ())


def test_figures_without_patients_took_each_case_for_one(tmp_path):
    """As schema 2 has them; and no case names its patient."""
    write_summary(tmp_path, TRAINED)
    earlier = content(tmp_path) | {"schema": 2}
    of_dice = earlier["checkpoints"]["honest"]["predictors"]["mean"]["all"]["dice"]
    del of_dice["patients"], of_dice["penalised"]
    earlier["cases"] = [{"id": "c1", "reference": "r", "prediction": "p"}]
    (tmp_path / "summary.json").write_text(json.dumps(earlier), encoding="utf-8")
    summary = read_summary(tmp_path)
    dice = summary.checkpoints["honest"].predictors["mean"].over_classes["dice"]
    assert (dice.patients, dice.penalised) == (3, None)
    assert (summary.patient_of, summary.diagonal_of) == ({}, {})


def test_what_is_resampled_together():
    """Patients, or scenes where these are all that is known."""
    assert TRAINED.patient_of == {"c1": "p1", "c4": "s7"}
    assert TRAINED.diagonal_of == {"c1": 75.5}


@pytest.mark.parametrize(("codes", "expected"), [([1, 2], (1, 2)), ("null", None), (None, (0, 1, 12))])
def test_codes_that_are_not_told_are_those_of_the_classes(codes, expected, tmp_path):
    folder = changed(tmp_path, codes=codes, notes=["turned: c1"])
    if codes == "null":
        (folder / "summary.json").write_text(json.dumps(content(folder) | {"codes": None}), encoding="utf-8")
    summary = read_summary(folder)
    assert summary.codes == expected
    assert summary.notes == ("turned: c1",)


def test_a_title_names_a_run_before_its_method():
    assert (TRAINED.name, GIVEN.name) == ("sdcl", "theirs")
    assert (TRAINED.unit, GIVEN.unit) == ("mm", "pixel")


def without(entry: str) -> dict[str, Any]:
    figures = {"mean": 1.0, "sd": None, "median": 1.0, "quartiles": [1, 1], "interval": None, "n": 1, "undefined": 0}
    del figures[entry]
    of_all = {"classes": {}, "all": {"dice": figures}, "cases": 1}
    return {"honest": {"step": 1, "predictors": {"mean": of_all}}}


DAMAGE = [
    ({"schema": 4}, "it has schema 4, this program reads 1, 2 and 3"),
    ({"run": {}}, "'method' is missing"),
    ({"deployed": None}, "'deployed' is missing"),
    ({"run": ["sdcl"]}, "run is no table"),
    ({"labels": {"one": "atrium"}}, "invalid literal for int() with base 10: 'one'"),
    ({"checkpoints": []}, "checkpoints is no table"),
    ({"checkpoints": {"honest": {"step": "last"}}}, "step of honest is no whole number from 0 on"),
    ({"checkpoints": without("median")}, "'median' is missing"),
    ({"checkpoints": {"final": {"step": 1, "predictors": {"a": {}}}}}, "'classes' is missing"),
    ({"cases": {"id": "c1"}}, "cases is no list"),
    ({"cases": [{"id": "c1", "prediction": "p"}]}, "'reference' is missing"),
    ({"cases": [{"id": "c1", "reference": 1, "prediction": "p"}]}, "the reference of case 'c1' is no text"),
    (
        {"cases": [{"id": "c1", "reference": "r", "prediction": "p", "diagonal": ""}]},
        "the diagonal of case 'c1' is no number",
    ),
    ({"codes": "1"}, "codes is no list"),
    ({"failed": [{"id": "c1"}]}, "'reason' is missing"),
]


@pytest.mark.parametrize(("changes", "cause"), DAMAGE, ids=[cause for _, cause in DAMAGE])
def test_a_damaged_file_is_refused_with_its_cause(changes, cause, tmp_path):
    folder = changed(tmp_path, **changes)
    with pytest.raises(UserError) as caught:
        read_summary(folder)
    assert str(caught.value) == (
        f"E402 {folder / 'summary.json'} cannot be used: {cause}. "
        "Give the folder of a finished run, or evaluate it again."
    )


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        ({"mean": "high"}, "honest mean all dice mean is no number"),
        ({"n": True}, "honest mean all dice n is no whole number from 0 on"),
        ({"interval": [0.5]}, "honest mean all dice interval is no pair of numbers"),
        ({"quartiles": [0.5, None]}, "honest mean all dice quartiles is no pair of numbers"),
        ({"interval": 0.5}, "honest mean all dice interval is no list"),
    ],
)
def test_figures_of_another_type_are_named(figures, cause, tmp_path):
    write_summary(tmp_path, TRAINED)
    damaged = content(tmp_path)
    damaged["checkpoints"]["honest"]["predictors"]["mean"]["all"]["dice"].update(figures)
    (tmp_path / "summary.json").write_text(json.dumps(damaged), encoding="utf-8")
    with pytest.raises(UserError, match=f"^E402 .*summary.json cannot be used: {cause}"):
        read_summary(tmp_path)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "Expecting value"),
        (b'{"schema": 2, "run"', "Expecting ':' delimiter"),
        (b"[]", "list indices must be integers"),
        (b"\xff", "'utf-8' codec can't decode"),
    ],
)
def test_what_is_no_summary_at_all_is_refused(data, cause, tmp_path):
    (tmp_path / "summary.json").write_bytes(data)
    with pytest.raises(UserError, match=f"^E402 .*summary.json cannot be used: {cause}"):
        read_summary(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^E402 .*summary\.json cannot be used: .*No such file"):
        read_summary(tmp_path)


def test_versions_are_those_installed():
    versions = package_versions(["numpy"])
    assert list(versions) == ["numpy", "python"]
    assert versions["numpy"] == np.__version__
