"""Figures of planted networks on planted cases, worked out by hand, and what is left on disk."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Orientationd
from torch import Tensor, nn

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image, write_nifti
from mednoisy.data.load_case import LoadCased
from mednoisy.engines import checkpoint
from mednoisy.engines import run_scoring as evaluation
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.run_scoring import RunScoring
from mednoisy.errors import UserError
from mednoisy.evaluation.metric_rows import COLUMNS
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.method import Method
from mednoisy.report.reading.runs import read_runs
from mednoisy.report.run_page import write_report
from mednoisy.report.tables.terminal_tables import result_lines
from tests.small_runs import small_dataset, train_arguments

SHAPE = (12, 10, 9)
# Spacing 1, 1.5 and 2 mm; axes flipped and exchanged, so that preprocessing turns the volume.
AFFINE = np.array([[0, 1.5, 0, -20], [-1, 0, 0, 30], [0, 0, 2, 5], [0, 0, 0, 1.0]])
SEEING, BLIND = (0.0, 1.0, 2.0), (0.0, 1.0, 99.0)  # blind: class 2 is taken for class 1
CUBE = (slice(2, 6),) * 3
SHIFTED = (slice(2, 6), slice(2, 6), slice(3, 7))  # by one voxel of 2 mm
BESIDE = (slice(7, 9), slice(7, 9), slice(7, 9))  # 8 voxels, as class 2


class Levels(nn.Module):
    """Logits by the distance of a voxel from the level of each class: the nearest level is predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.zeros(3))

    def forward(self, image: Tensor) -> Tensor:
        return -100 * (image - self.levels.reshape(1, 3, 1, 1, 1)) ** 2


class TwoLevels(Method):
    """Deploys `main`; `other` is scored beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.students = nn.ModuleDict({"main": Levels(), "other": Levels()})

    def predictors(self) -> dict[str, nn.Module]:
        return dict(self.students.items())


def volume(*boxes: tuple[slice, ...]) -> np.ndarray:
    """Zeros with the first box at 1, the second at 2."""
    values = np.zeros(SHAPE, dtype=np.int16)
    for value, box in enumerate(boxes, 1):
        values[box] = value
    return values


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two cases: `shifted`, whose image shows the cube a voxel off and no class 2, and `exact`."""
    images = {"shifted": volume(SHIFTED), "exact": volume(CUBE, BESIDE)}
    labels = {"shifted": volume(CUBE), "exact": volume(CUBE, BESIDE)}
    for name in images:
        write_nifti(tmp_path / f"{name}.nii.gz", images[name], AFFINE)
        write_nifti(tmp_path / f"{name}_label.nii.gz", labels[name], AFFINE)
    return tmp_path


def datalist(data: Path, section: str = "test") -> Datalist:
    cases = [
        {"id": name, "image": str(data / f"{name}.nii.gz"), "label": str(data / f"{name}_label.nii.gz")}
        for name in ("shifted", "exact")
    ]
    names = {0: "background", 1: "cube", 2: "beside"}
    return Datalist("planted", {0: "level"}, names, {section: cases}, protocol="Planted.")


def evaluation_of(data: Path, cases: Datalist | None = None, main: bool = True) -> RunScoring:
    """Of the run in `data`/run, with windows that do not divide the volume."""
    turned = Orientationd(keys=("image", "label"), axcodes="RAS", labels=None, allow_missing_keys=True)
    return RunScoring(
        "cpu",
        RunFolder(data / "run", facts={"method": "planted", "validation": 0, "steps": 8}, main=main),
        TwoLevels,
        cases or datalist(data),
        Compose([LoadCased(("image", "label")), turned]),
        SlidingWindow((8, 8, 8), (5, 5, 5)),
        data / "models" / "model.pt",
    )


def save(data: Path, name: str, step: int, main: tuple = SEEING, other: tuple = SEEING) -> None:
    """A checkpoint of the run whose networks have these levels."""
    method = TwoLevels()
    for network, levels in (("main", main), ("other", other)):
        method.students[network].levels.data = torch.tensor(levels)
    path = data / "run" / "checkpoints" / f"{name}.pt"
    checkpoint.save(path, {"step": step, "seconds": 12.34, "processor_seconds": 23.45, "method": method.state_dict()})


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def scores(data: Path, checkpoint: str, predictor: str) -> dict[tuple[str, str], dict[str, str]]:
    """Rows of `scores.csv` by case and class."""
    rows = table(data / "run" / "scores.csv")
    chosen = [row for row in rows if (row["checkpoint"], row["predictor"]) == (checkpoint, predictor)]
    return {(row["case"], row["class"]): row for row in chosen}


def figures(row: dict[str, str]) -> list[float]:
    return [float(row[name]) if row[name] else math.nan for name in ("dice", "jaccard", "hd95", "asd")]


def test_distances_of_references_without_a_voxel_size_are_in_voxels(data):
    """The datalist's unit, which is mm where it says nothing, holds for files that state one."""
    for part in ("image", "label"):
        for name in ("shifted", "exact"):
            stem = name if part == "image" else f"{name}_label"
            array = read_image(data / f"{stem}.nii.gz").array
            with h5py.File(data / f"{name}.h5", "a") as file:
                file[part] = array
    cases = datalist(data)
    for case in cases.sections["test"]:
        case["image"] = case["label"] = str(data / f"{case['id']}.h5")
    for name in ("last", "best_honest"):
        save(data, name, 8)
    evaluation_of(data, cases).run()
    assert read_summary(data / "run").unit == "voxel"
    evaluation_of(data).run()
    assert read_summary(data / "run").unit == "mm"


def test_voxels_of_an_ignored_code_count_in_neither(data):
    """The cube of `shifted` but its part that the prediction misses, and what that has beyond it, are marked."""
    labels = read_image(data / "shifted_label.nii.gz").array
    labels[CUBE[0], CUBE[1], 2] = labels[CUBE[0], CUBE[1], 6] = 255
    write_nifti(data / "shifted_label.nii.gz", labels, AFFINE)
    save(data, "last", 8)
    cases = replace(datalist(data), ignore=(255,))
    evaluation_of(data, cases).check()
    evaluation_of(data, cases).run()
    row = scores(data, "final", "main")["shifted", "1"]
    assert float(row["dice"]) == 1
    assert float(row["volume_reference"]) == pytest.approx(4 * 4 * 3 * 3 / 1000)  # voxels of 3 mm3
    assert read_summary(data / "run").facts["ignored_codes"] == [255]
    with pytest.raises(UserError, match=r"E206 case 'shifted': label holds 255; known codes are 0, 1, 2"):
        evaluation_of(data).check()
    validated = replace(cases, sections={**cases.sections, "validation": cases.sections["test"], "test": []})
    evaluation_of(data, validated).run()  # the same where there are no test cases
    assert read_summary(data / "run").facts["scored_section"] == "validation"
    assert scores(data, "final", "main")["shifted", "1"] == row


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the cases that are predicted, in order."""
    seen: list[str] = []
    plain = evaluation.predict_case

    def noted(case, *rest, **settings):
        seen.append(case["id"])
        return plain(case, *rest, **settings)

    monkeypatch.setattr(evaluation, "predict_case", noted)
    return seen


def test_metrics_are_those_of_the_deployed_predictor_in_mm(data):
    """A cube of side 4 shifted by a voxel of 2 mm: Dice 48/64; of 56 surface voxels 16 are 2 mm off and 4 are 1 mm."""
    save(data, "last", 8, other=BLIND)
    evaluation_of(data).run()
    text = (data / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert text[0] == "case,class,dice,jaccard,hd95,asd,assd,hd,nsd,volume_prediction,volume_reference"
    assert text[2] == "shifted,2,,,,,,,,0.0,0.0"  # in neither map: undefined
    rows = table(data / "run" / "metrics.csv")
    assert [(row["case"], row["class"]) for row in rows] == [
        *(("shifted", "1"), ("shifted", "2"), ("exact", "1"), ("exact", "2")),
    ]
    assert figures(rows[0]) == pytest.approx([0.75, 0.6, 2, (16 * 2 + 4 * 1) / 56])
    assert figures(rows[2]) == figures(rows[3]) == [1, 1, 0, 0]


def test_scores_have_every_checkpoint_and_predictor(data):
    """Each of the three choices scores both predictors on both cases and classes, from its own weights."""
    save(data, "best_honest", 4, main=SEEING, other=BLIND)
    save(data, "last", 8, main=BLIND, other=SEEING)
    save(data, "best_published_main", 2)
    save(data, "best_published_other", 6)
    evaluation_of(data).run()
    rows = table(data / "run" / "scores.csv")
    assert list(rows[0]) == ["checkpoint", "predictor", *COLUMNS]
    assert {float(row["volume_reference"]) for row in rows if row["class"] == "1"} == {64 * 3 / 1000}  # published too
    found = {(row["checkpoint"], row["predictor"], row["case"], row["class"]) for row in rows}
    wanted = {
        (name, predictor, case, code)
        for name in ("published", "honest", "final")
        for predictor in ("main", "other", *(["mean_of_bests"] if name == "published" else []))
        for case in ("shifted", "exact")
        for code in "12"
    }
    assert found == wanted
    assert len(rows) == len(wanted)
    for name, predictor, dice in (("honest", "main", 1), ("honest", "other", 0), ("final", "main", 0)):
        assert float(scores(data, name, predictor)["exact", "2"]["dice"]) == dice


def test_what_is_missed_has_no_distance(data):
    """A class that is in the reference alone: Dice 0, distances undefined; the class it was taken for suffers."""
    save(data, "last", 8, main=BLIND)
    evaluation_of(data).run()
    found = scores(data, "final", "main")
    np.testing.assert_equal(figures(found["exact", "2"]), [0, 0, math.nan, math.nan])
    assert figures(found["exact", "1"])[:2] == pytest.approx([2 * 64 / (64 + 72), 64 / 72])


def test_what_is_missed_is_told_with_what_it_would_cost(data):
    """The summary has each image's diagonal in mm, which a missed class is given; patients and scenes as named.

    Published rows score 0 there, in voxels: nothing is undefined, so nothing is penalised.
    """
    for name in ("last", "best_published_main", "best_published_other"):
        save(data, name, 8, main=BLIND)
    plain = datalist(data)
    origins = {"patient": "p"}, {"scene": "s"}
    cases = [case | origin for case, origin in zip(plain.cases("test"), origins, strict=True)]
    evaluation_of(data, Datalist("planted", {0: "level"}, plain.labels, {"test": cases})).run()
    summary = read_summary(data / "run")
    diagonal = math.sqrt(12**2 + (10 * 1.5) ** 2 + (9 * 2) ** 2)
    assert [case.diagonal for case in summary.cases] == [pytest.approx(diagonal)] * 2
    assert summary.patient_of == {"shifted": "p", "exact": "s"}
    hd95 = summary.checkpoints["honest"].predictors["main"].by_class[2]["hd95"]
    assert (hd95.mean, hd95.penalised, hd95.undefined) == (None, pytest.approx(diagonal), 2)
    published = summary.checkpoints["published"].predictors["main"].by_class[2]["hd95"]
    assert (published.mean, published.undefined, published.penalised) == (0, 0, 0)


def test_published_figures_are_in_voxels_and_0_where_nothing_is_predicted(data):
    """Each predictor from the checkpoint that is best for it; empty predictions score 0 in every metric."""
    save(data, "last", 8)
    save(data, "best_published_main", 2, main=SEEING, other=BLIND)
    save(data, "best_published_other", 6, main=SEEING, other=BLIND)
    evaluation_of(data).run()
    seeing, blind = scores(data, "published", "main"), scores(data, "published", "other")
    assert figures(seeing["shifted", "1"]) == pytest.approx([0.75, 0.6, 1, (16 * 1 + 4 * 1) / 56])
    assert figures(seeing["shifted", "2"]) == [0, 0, 0, 0]  # in neither map
    assert figures(seeing["exact", "2"]) == [1, 1, 0, 0]
    assert figures(blind["exact", "2"]) == [0, 0, 0, 0]
    assert figures(scores(data, "honest", "main")["shifted", "1"])[2] == 2  # the others stay in mm
    summary = json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["checkpoints"]["published"]["step"] == 2


def test_published_needs_the_best_of_every_predictor(data):
    """A run that kept only some is scored without."""
    save(data, "last", 8)
    save(data, "best_published_main", 2)
    evaluation_of(data).run()
    assert {row["checkpoint"] for row in table(data / "run" / "scores.csv")} == {"honest", "final"}


@pytest.mark.parametrize(("honest", "passes"), [(None, 1), (8, 1), (4, 2)])
def test_the_final_checkpoint_is_scored_once_where_it_is_the_honest_one(data, predicted, honest, passes):
    """Without a validation section the honest checkpoint is the last; equal steps are predicted once."""
    save(data, "last", 8)
    if honest is not None:
        save(data, "best_honest", honest)
    evaluation_of(data).run()
    assert predicted == ["shifted", "exact"] * passes
    checkpoints = json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))["checkpoints"]
    assert [checkpoints[name]["step"] for name in ("honest", "final")] == [honest or 8, 8]
    for predictor in ("main", "other"):
        assert len(scores(data, "final", predictor)) == 4
        assert checkpoints["honest"]["predictors"][predictor] == checkpoints["final"]["predictors"][predictor]


def test_predictions_lie_on_the_grid_of_the_source(data):
    """`predictions/ID.nii.gz` of the deployed predictor at the honest checkpoint, though preprocessing turned it."""
    save(data, "best_honest", 4, other=BLIND)
    save(data, "last", 8, main=BLIND)
    evaluation_of(data).run()
    assert sorted(path.name for path in (data / "run" / "predictions").iterdir()) == ["exact.nii.gz", "shifted.nii.gz"]
    for name in ("shifted", "exact"):
        found = nibabel.load(data / "run" / "predictions" / f"{name}.nii.gz")
        source = nibabel.load(data / f"{name}.nii.gz")
        np.testing.assert_array_equal(found.dataobj, source.dataobj)
        np.testing.assert_array_equal(found.affine, source.affine)
        assert found.get_data_dtype() == np.uint8


def test_the_summary_holds_what_a_report_reads(data):
    """Schema 2 of `evaluation.summary_file`: facts, classes, figures by checkpoint and predictor, paths to files."""
    save(data, "last", 8)
    evaluation_of(data).run()
    summary = json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))
    assert list(summary) == [
        *("schema", "run", "labels", "deployed", "shown", "checkpoints", "undefined", "cases", "versions"),
    ]
    assert (summary["schema"], summary["deployed"], summary["undefined"]) == (3, "main", 4)
    assert summary["labels"] == {"0": "background", "1": "cube", "2": "beside"}
    wanted = {
        "method": "planted",
        "steps": 8,
        "test": 2,
        "seconds": 12.3,
        "processor_seconds": 23.4,
        "protocol": "Planted.",
    }
    assert wanted.items() <= summary["run"].items()
    assert list(summary["checkpoints"]) == ["honest", "final"]
    entry = summary["checkpoints"]["honest"]["predictors"]["main"]
    assert entry["cases"] == 2
    assert entry["classes"]["1"]["dice"]["mean"] == pytest.approx(0.875)
    assert (entry["all"]["dice"]["n"], entry["all"]["dice"]["undefined"]) == (2, 1)
    run = read_runs([data / "run"])[0]
    assert run.class_name(2) == "beside"
    for name in ("shifted", "exact"):
        paths = run.files_of(name)
        assert list(paths) == ["image", "reference", "prediction"]
        assert all(path.is_file() for path in paths.values())


def test_the_exported_weights_fit_the_deployed_predictor(data):
    """`model.pt` is the deployed predictor of the honest checkpoint, as `inference.yaml` loads it."""
    save(data, "best_honest", 4, main=(0.5, 1.5, 2.5))
    save(data, "last", 8)
    evaluation_of(data).run()
    network = Levels()
    network.load_state_dict(torch.load(data / "models" / "model.pt", weights_only=True))
    assert network.levels.tolist() == [0.5, 1.5, 2.5]


def test_a_score_on_the_cases_that_chose_the_checkpoint_is_not_called_honest(data, capsys):
    """The best on validation is `chosen`, the last is beside it; what is deployed stays the best."""
    save(data, "best_honest", 4, main=SEEING)
    save(data, "last", 8, main=BLIND)
    scoring = evaluation_of(data, datalist(data, "validation"))
    scoring.check()
    assert "figures are of the validation cases, which choose the checkpoint as well" in capsys.readouterr().err
    scoring.run()
    summary = read_summary(data / "run")
    assert (summary.shown, list(summary.checkpoints)) == ("chosen", ["chosen", "final"])
    assert [summary.checkpoints[name].step for name in ("chosen", "final")] == [4, 8]
    assert math.isnan(figures(scores(data, "final", "main")["exact", "2"])[2])
    assert figures(scores(data, "chosen", "main")["exact", "2"])[0] == 1
    page = write_report([data / "run"], data / "page.html").read_text(encoding="utf-8")
    assert "the very cases that chose the checkpoint, so this flatters" in page
    assert "Chosen means the best on the very cases that are scored here" in page
    assert "honest" not in page
    assert result_lines(data / "run")[0].startswith(
        "chosen (best on the cases scored, step 4), main, 2 cases: Dice 0.875 "
    )


def test_validation_cases_are_scored_where_there_are_no_test_cases(data):
    """And the summary says so: they are no test cases."""
    save(data, "last", 8)
    evaluation_of(data, datalist(data, "validation")).run()
    run = json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))["run"]
    assert (run["test"], run["scored_section"]) == (0, "validation")
    assert len(table(data / "run" / "metrics.csv")) == 4


def test_without_cases_to_score_there_are_no_figures(data, capsys):
    """One line before training says which; the last checkpoint is exported, and the page says that it is trained."""
    save(data, "last", 8)
    scoring = evaluation_of(data, datalist(data, "labeled"))
    scoring.check()
    told = capsys.readouterr().err
    assert (
        "neither test nor validation cases: no Dice and no distance can be told, and the last checkpoint is kept"
        in told
    )
    scoring.run()
    summary = read_summary(data / "run")
    assert (summary.cases, summary.facts["test"]) == ((), 0)
    assert summary.checkpoints["honest"].predictors["main"].cases == 0
    assert (data / "models" / "model.pt").is_file()
    assert not (data / "run" / "predictions").exists()
    page = write_report([data / "run"], data / "page.html").read_text(encoding="utf-8")
    assert "planted is trained; there was no labeled case beside those of training to score it on." in page
    assert result_lines(data / "run")[-1] == "nothing was scored: there are neither test nor validation cases"


def test_a_run_that_never_saved_is_refused(data):
    with pytest.raises(UserError, match=r"^E321 checkpoint .*last\.pt is missing"):
        evaluation_of(data).run()


def test_other_processes_look_on(data):
    """Only the main process checks, scores and writes."""
    other = evaluation_of(data, datalist(data, "labeled"), main=False)
    other.check()
    other.run()
    assert not (data / "run").exists()


# Before training


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_a_strange_code(path: Path) -> None:
    write_nifti(path, volume(CUBE, BESIDE) * 3, AFFINE)


def on_another_grid(path: Path) -> None:
    write_nifti(path, np.zeros((12, 10, 8), dtype=np.uint8), AFFINE)


def elsewhere(path: Path) -> None:
    shifted = AFFINE.copy()
    shifted[0, 3] += 1
    write_nifti(path, volume(CUBE), shifted)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_voxels(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:352]))


FAULTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("exact.nii.gz", truncated, "E202 case 'exact': .*exact.nii.gz cannot be read"),
    ("exact_label.nii.gz", without_voxels, "E202 case 'exact': .*exact_label.nii.gz cannot be read"),
    ("shifted_label.nii.gz", emptied, "E202 case 'shifted': .* is empty"),
    ("shifted.nii.gz", Path.unlink, "E201 case 'shifted': .* does not exist"),
    ("exact_label.nii.gz", on_another_grid, "E204 case 'exact': image is 12x10x9, label is 12x10x8"),
    ("exact_label.nii.gz", elsewhere, "E205 case 'exact': image and label have different affines"),
    ("exact_label.nii.gz", with_a_strange_code, "E206 case 'exact': label holds 3, 6; known codes are 0, 1, 2"),
]


def test_sound_cases_pass_and_leave_nothing(data):
    evaluation_of(data).check()
    assert not (data / "run").exists()


@pytest.mark.parametrize(("name", "damage", "message"), FAULTS, ids=[damage.__name__ for _, damage, _ in FAULTS])
def test_a_damaged_case_is_found_before_training(data, name, damage, message):
    damage(data / name)
    with pytest.raises(UserError, match=f"^{message}"):
        evaluation_of(data).check()


# Whole runs


def test_a_damaged_test_case_refuses_a_run_in_one_line(tmp_path, capsys):
    """`mednoisy train` ends with code 2 before a step is trained or a folder made."""
    small_dataset(tmp_path / "data")
    truncated(tmp_path / "data" / "images" / "test_001.nii.gz")
    assert main(train_arguments(tmp_path / "data", tmp_path / "run")) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy:")]
    assert len(lines) == 1
    assert lines[0].startswith("mednoisy: E202 case 'test_001': ")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_evaluation_is_done_again_alone(tmp_path, monkeypatch, capsys):
    """`--resume` trains no step more and gives the figures of a run that nothing interrupted."""
    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, tmp_path / "whole")) == 0
    plain, calls = evaluation.predict_case, []

    def interrupted(case: dict, *rest: Any, **settings: Any) -> Any:
        calls.append(case["id"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(case, *rest, **settings)

    monkeypatch.setattr(evaluation, "predict_case", interrupted)
    run = tmp_path / "interrupted"
    assert main(train_arguments(data, run)) == 1
    assert not any((run / name).exists() for name in ("metrics.csv", "scores.csv", "summary.json", "report.html"))
    trained = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    assert main(train_arguments(data, run, "--resume")) == 0
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == trained
    for name in ("metrics.csv", "scores.csv"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (run, tmp_path / "whole")]
    for summary in summaries:
        del summary["run"]["seconds"], summary["run"]["processor_seconds"]
    assert summaries[0] == summaries[1]
    assert (run / "report.html").is_file()


def test_the_summary_tells_the_centres_of_training(data):
    """So that a page can mark a centre that no case of training, labeled or not, came from."""
    save(data, "last", 8)
    plain = datalist(data)
    cases = [case | {"centre": centre} for case, centre in zip(plain.cases("test"), "ac", strict=True)]
    training = {"labeled": [{"id": "x", "centre": "b"}], "unlabeled": [{"id": "y", "centre": "a"}, {"id": "z"}]}
    evaluation_of(data, Datalist("planted", {0: "level"}, plain.labels, {"test": cases, **training})).run()
    summary = json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["run"]["centres_in_training"] == ["a", "b"]
    assert [case["centre"] for case in summary["cases"]] == ["a", "c"]
    evaluation_of(data).run()
    assert "centres_in_training" not in json.loads((data / "run" / "summary.json").read_text(encoding="utf-8"))["run"]
