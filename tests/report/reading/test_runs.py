"""What pages read of runs: names that tell them apart, files of cases, codes of label maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import TABLE_METRICS, write_metrics
from mednoisy.evaluation.summary_file import (
    CheckpointFigures,
    FailedCase,
    GivenLabelMaps,
    RunSummary,
    ScoredCase,
    write_summary,
)
from mednoisy.report.reading.runs import class_names, read_runs

TRAINED = RunSummary(
    facts={"method": "sdcl", "recipe": "default", "labeled": 8, "seed": 0},
    labels={0: "background", 1: "atrium", 2: "atrium"},
    deployed="mean",
    shown="honest",
    checkpoints={"honest": CheckpointFigures(400), "final": CheckpointFigures(500)},
    undefined=0,
    cases=(
        ScoredCase("c1", "/labels/c1.png", "predictions/c1.png", ("red.png", "green.png"), "A"),
        ScoredCase("c2", "labels/c2.png", "predictions/c2.png"),
    ),
)


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """Call it with a name and changes of the summary to get the folder of a run that scored the classes 1 and 3."""

    def make(name: str, facts: dict | None = None, **changes: object) -> Path:
        rows = [{"case": "c1", "class": code} | dict.fromkeys(TABLE_METRICS, 0.5) for code in (3, 1)]
        write_metrics(tmp_path / name / "metrics.csv", rows, ("case", "class", *TABLE_METRICS))
        write_summary(tmp_path / name, replace(TRAINED, facts={**TRAINED.facts, **(facts or {})}, **changes))
        return tmp_path / name

    return make


def test_a_run_is_what_its_files_say(run_folder):
    (run_folder("run") / "progress.csv").write_text("step,stage\n10,pretrain\n")
    (run,) = read_runs([run_folder("run")])
    assert (run.name, run.deployed, run.shown, run.unit) == ("sdcl", "mean", "honest", "mm")
    assert [run.step(name) for name in ("honest", "final", "published")] == [400, 500, None]
    assert run.codes == {0, 1, 2}
    assert run.classes == {1: "atrium", 3: "class 3"}
    assert run.centres == {"c1": "A"}
    assert run.progress == [{"step": "10", "stage": "pretrain"}]
    assert {(row["checkpoint"], row["predictor"]) for row in run.scores} == {("honest", "mean")}


def test_files_of_a_case_are_relative_to_the_run(run_folder):
    """Of several channels the first one is shown; a case has only the files that are told."""
    folder = run_folder("run")
    (run,) = read_runs([folder])
    assert run.files_of("c1") == {
        "image": folder / "red.png",
        "reference": Path("/labels/c1.png"),
        "prediction": folder / "predictions" / "c1.png",
    }
    assert list(run.files_of("c2")) == ["reference", "prediction"]
    assert run.files_of("c9") == {}


@pytest.mark.parametrize(("codes", "expected"), [(None, None), ((1, 3), {1, 3})])
def test_label_maps_from_elsewhere_tell_how_they_were_read(run_folder, codes, expected):
    label_maps = GivenLabelMaps(codes, {255: 1}, (FailedCase("c9", "E202 it is empty"),), ("turned: c1",))
    (run,) = read_runs([run_folder("run", label_maps=label_maps)])
    assert (run.codes, run.mapping) == (expected, {255: 1})
    assert [(case.id, case.reason) for case in run.failed] == [("c9", "E202 it is empty")]
    assert run.notes == ("turned: c1",)


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ([{}, {"seed": 1}], ["sdcl, seed 0", "sdcl, seed 1"]),
        ([{}, {"labeled": 16, "seed": 1}], ["sdcl, labeled 8", "sdcl, labeled 16"]),
        ([{}, {"method": "bcp", "recipe": "strong"}], ["sdcl, default", "bcp, strong"]),
        ([{}, {"title": "theirs"}], ["sdcl", "theirs"]),
        ([{}, {}], ["sdcl (run0)", "sdcl (run1)"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(run_folder, facts, names):
    folders = [run_folder(f"run{number}", of_run) for number, of_run in enumerate(facts)]
    assert [run.name for run in read_runs(folders)] == names


def test_one_folder_twice_is_numbered(run_folder):
    folder = run_folder("run")
    assert [run.name for run in read_runs([folder, folder])] == ["sdcl (run) 1", "sdcl (run) 2"]


def test_namesakes_among_classes_get_their_code(run_folder):
    names = {1: "kidney", 3: "kidney"}
    runs = read_runs([run_folder("one", labels=names), run_folder("other", {"title": "other"}, labels={1: "left"})])
    assert class_names(runs) == {1: "kidney (1)", 3: "kidney (3)"}
    assert runs[1].classes == {1: "left", 3: "class 3"}


def test_units_are_not_mixed(run_folder):
    folders = [run_folder("mm"), run_folder("pixel", {"title": "flat", "spacing_unit": "pixel"})]
    with pytest.raises(UserError, match=r"^E403 distances of sdcl are in mm, those of flat in pixel"):
        read_runs(folders)
