"""`mednoisy train --folds N`: from a command to a page, what is held out, what is pooled, what survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.folds import patients_by_fold
from mednoisy.data.images import read_image, write_nifti
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.runs import cross_validation
from tests.blank_plots import COMMAND
from tests.engines.small import assert_same, kept
from tests.folded_runs import AFFINE, LABELED, SHAPE, arguments, refusal, rows, write_case, write_dataset

POOLED = ("metrics.csv", "scores.csv", "run.json", "predictions/u1.nii.gz", "predictions/b3.nii.gz")


def voxels(path: Path) -> np.ndarray:
    return np.asarray(read_image(path).array)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("balls"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """Two folds of two steps of mean teacher, never interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(arguments(data, run)) == 0
    return run


def assert_equal(run: Path, other: Path) -> None:
    """Weights, figures and label maps, bit for bit."""
    for name in POOLED:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    for fold, of_other in zip(folds_of(run), folds_of(other), strict=True):
        assert_same(kept(fold), kept(of_other))
        for path in [*(fold / "predictions").iterdir(), *(fold / "unlabeled").iterdir()]:
            assert path.read_bytes() == (of_other / path.relative_to(fold)).read_bytes(), path


# What comes out


def test_a_page_figures_and_label_maps_come_out(whole, data, capsys):
    summary = read_summary(whole)
    facts = summary.facts
    told = {name: facts[name] for name in ("method", "labeled", "unlabeled", "folds", "held_out", "scored_section")}
    assert list(told.values()) == ["mean_teacher", 4, 2, 2, 4, "held-out"]
    assert facts["protocol"] == "2-fold cross-validated, last checkpoints."
    assert facts["predicted"] == "2 unlabeled cases by the 2 networks together, in the folder predictions"
    assert [case.id for case in summary.cases] == list(LABELED)
    assert [case.patient for case in summary.cases] == list(LABELED.values())
    assert {figures.step for figures in summary.checkpoints.values()} == {2}
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert "over 4 held-out cases" in page
    assert "each scored by that one of 2 networks which was trained without its patient" in page
    assert "2-fold cross-validated, last checkpoints." in page
    assert sorted(path.name for path in (whole / "predictions").iterdir()) == ["b3.nii.gz", "u1.nii.gz"]
    for case in summary.cases:
        assert (whole / case.prediction).is_file()
    assert main(["report", str(whole)]) == 0
    assert (whole / "report.html").read_text(encoding="utf-8") == page


def test_the_networks_predict_together_as_the_mean_of_their_probabilities(whole, data, tmp_path):
    """`predict` with the folder gives what `predictions/` holds; each fold's own maps are what its own run predicts."""
    image = data / "images" / "u1.nii.gz"
    for run, written in [(whole, whole / "predictions"), *((fold, fold / "unlabeled") for fold in folds_of(whole))]:
        output = tmp_path / run.name
        assert main(["predict", str(run), str(image), "--output", str(output), "--device", "cpu"]) == 0
        (found,) = output.rglob("u1.nii.gz")
        np.testing.assert_array_equal(voxels(found), voxels(written / "u1.nii.gz"))


def test_pooled_figures_are_those_of_the_folds_label_maps(whole, data, tmp_path):
    """`mednoisy evaluate` on the files gives them again, case by case and in the mean."""
    maps = tmp_path / "maps"
    maps.mkdir()
    for fold in folds_of(whole):
        for path in (fold / "predictions").iterdir():
            shutil.copy(path, maps)
    assert sorted(path.name for path in maps.iterdir()) == [f"{name}.nii.gz" for name in LABELED]
    references = tmp_path / "references"
    references.mkdir()
    for name in LABELED:
        shutil.copy(data / "labels" / f"{name}.nii.gz", references)
    words = ["--references", str(references), "--labels", "1=atrium", "--output", str(tmp_path / "scores")]
    assert main(["evaluate", "--predictions", str(maps), *words]) == 0
    assert rows(tmp_path / "scores" / "metrics.csv") == rows(whole / "metrics.csv")
    (given,), pooled = read_summary(tmp_path / "scores").checkpoints.values(), read_summary(whole)
    mean = pooled.checkpoints[pooled.shown].predictors[pooled.deployed].over_classes
    for metric in ("dice", "hd95", "asd"):
        assert given.predictors["prediction"].over_classes[metric].mean == mean[metric].mean


def test_cross_validated_runs_are_compared_case_by_case(whole, data, tmp_path, capsys):
    """Even where another seed deals other patients to the folds."""
    other = tmp_path / "other"
    seed = next(seed for seed in range(1, 20) if held_out(data, seed) != held_out(data, 0))
    assert main(arguments(data, other, "--seed", str(seed), method="supervised")) == 0
    capsys.readouterr()
    assert main(["compare", str(whole), str(other), "--output", str(tmp_path / "page.html")]) == 0
    assert "on 4 cases of 3 patients" in capsys.readouterr().out
    assert "on 4 held-out cases" in (tmp_path / "page.html").read_text(encoding="utf-8")


def held_out(data: Path, seed: int) -> list[list[str]]:
    return patients_by_fold(Datalist.load(data / "datalist.json").cases("labeled"), 2, seed)


# What is held out


def test_what_a_fold_holds_out_does_not_reach_its_training(whole, data, tmp_path):
    """With other images and labels of its patients, unlabeled scans too, the network comes out bit for bit the same."""
    number = next(n for n, patients in enumerate(held_out(data, 0)) if "b" in patients)
    names = [name for name, patient in LABELED.items() if patient in held_out(data, 0)[number]] + ["b3"]
    changed = tmp_path / "data"
    shutil.copytree(data, changed)
    for n, name in enumerate(names):
        write_case(changed, name, 100 + n)
    run = tmp_path / "run"
    fold = ("--validation", "0", "--set", f"fold=[{number}, 2]")
    assert main(arguments(changed, run, *fold, folds=None)) == 0
    assert_same(kept(run), kept(folds_of(whole)[number]))
    assert rows(run / "metrics.csv") != rows(folds_of(whole)[number] / "metrics.csv")


def test_each_fold_sees_the_others_and_everything_unlabeled(whole, data):
    for number, patients in enumerate(held_out(data, 0)):
        fold = folds_of(whole)[number]
        scored = {row["case"] for row in rows(fold / "metrics.csv")}
        assert scored == {name for name, patient in LABELED.items() if patient in patients}
        assert set(json.loads((fold / "labels.json").read_text())) == set(LABELED) - scored
        assert not (fold / "checkpoints" / "best_honest.pt").exists()  # nothing is chosen
        facts = json.loads((fold / "run.json").read_text())
        assert (facts["validation"], facts["unlabeled"]) == (0, 1 if "b" in patients else 2)


def test_a_label_that_cannot_be_read_is_told_before_the_first_fold(data, tmp_path, capsys):
    """Whatever fold it is held out in; nothing is left behind."""
    for name in ("a1", "c1"):
        damaged = tmp_path / name
        shutil.copytree(data, damaged)
        path = damaged / "labels" / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:200])
        run = tmp_path / f"run_{name}"
        assert f"case '{name}'" in refusal(capsys, arguments(damaged, run))
        assert not run.exists()


def test_two_labels_are_enough_for_a_method_that_mixes_them(data, tmp_path, capsys):
    """SDCL draws two labeled crops a step: both are of the one case that a fold trains on."""
    run = tmp_path / "run"
    pair = write_dataset(tmp_path / "data", lambda content: content.update(labeled=content["labeled"][::3]))
    assert main([*arguments(pair, run, "--labeled", "2", method="sdcl"), "--recipe", "published"]) == 0
    facts = read_summary(run).facts
    assert (facts["labeled"], facts["held_out"]) == (2, 2)
    assert not list(run.rglob("best_published*"))  # which would be chosen on held-out cases


# Interrupted


@pytest.fixture
def interrupted(data, tmp_path, monkeypatch, capsys) -> Path:
    """A run that SIGTERM reached in the first step of its second fold."""
    losses, seen = MeanTeacher.losses, []

    def losses_and_signal(self, batch, step):
        seen.append(step.number)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses(self, batch, step)

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(MeanTeacher, "losses", losses_and_signal)
        assert "E331 stopped by SIGTERM after step 1" in refusal(capsys, arguments(data, run), code=1)
    assert seen == [0, 1, 0]
    assert not (run / "summary.json").exists()
    return run


def test_a_stopped_run_goes_on_in_the_fold_where_it_was(interrupted, whole, capsys):
    before = {path: path.stat().st_mtime_ns for path in folds_of(interrupted)[0].rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["train", "--resume", str(interrupted)]) == 0
    out = capsys.readouterr().out
    assert "fold 1 (2 of 2), held out: " in out
    assert "fold 0" not in out
    kept_since = {path: path.stat().st_mtime_ns for path in before}
    assert kept_since == before
    assert_equal(interrupted, whole)


def test_all_arguments_again_do_the_same_wherever_the_data_are(interrupted, data, whole, tmp_path):
    """Paths in the summary lead to the data where they are now, of folds that were finished before as well."""
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    assert main(arguments(moved, interrupted, "--resume")) == 0
    assert_equal(interrupted, whole)
    assert {Path(case.image).parent for case in read_summary(interrupted).cases} == {moved / "images"}


@pytest.mark.parametrize("place", ["predict_files", "write_pooled", "write_report"])
def test_a_run_that_dies_after_its_folds_goes_on(place, whole, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for name in ("predictions", "summary.json", "metrics.csv", "report.html"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(cross_validation, place, lambda *arguments, **options: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["train", "--resume", str(run)]) == 1
    assert not (run / "report.html").exists()
    assert main(["train", "--resume", str(run)]) == 0
    assert_equal(run, whole)


@pytest.mark.slow
def test_a_killed_run_goes_on(data, whole, tmp_path):
    """SIGKILL as soon as the first fold has its page."""
    run = tmp_path / "run"
    command = [*COMMAND, *arguments(data, run)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while not (run / "folds" / "0" / "report.html").exists():
            assert child.poll() is None
            time.sleep(0.02)
        child.kill()
    assert not (run / "report.html").exists()
    assert main(["train", "--resume", str(run)]) == 0
    assert_equal(run, whole)
    assert not list(run.rglob(".partial-*"))


def test_a_scored_run_is_scored_again(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for path in run.rglob("metrics.csv"):
        path.unlink()
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    assert_equal(run, whole)


# What is refused


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--folds", "1"), "E370 1 folds are asked for"),
        (("--folds", "4"), "E370 4 folds are asked for; every one holds out at least one of 3 labeled patients"),
        (("--folds", "0"), "E100 argument --folds: '0'"),
        (("--validation", "1"), "E113 --validation does not go with --folds"),
        (("--set", "fold=[0, 2]"), "E113 --set fold=... does not go with --folds"),
        (("--set", "widht=3"), "E103 the configuration has no entry 'widht'"),
    ],
)
def test_folds_that_cannot_be_are_refused_before_anything_is_written(more, told, data, tmp_path, capsys):
    run = tmp_path / "run"
    assert refusal(capsys, arguments(data, run, *more)).startswith(f"mednoisy: {told}")
    assert not run.exists()


def test_several_processes_are_refused(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = refusal(capsys, arguments(data, tmp_path / "run"))
    assert told.startswith("mednoisy: E372 several processes cannot train folds together")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--folds", "3"), "E313 the run in {run} has folds 2, this one 3"),
        (("--seed", "7"), "E313 the run in {run} has seed 0, this one 7"),
        (("--set", "teacher_decay=0.5"), "E313 the run in {run} has teacher_decay 0.99, this one 0.5"),
    ],
)
def test_a_run_goes_on_with_its_own_settings_alone(words, told, whole, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.name != ".lock"}
    line = refusal(capsys, ["train", "--resume", str(whole), *words])
    assert line.startswith("mednoisy: " + told.format(run=whole))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_label_that_changed_since_is_refused(whole, data, tmp_path, capsys):
    """The figures of a finished fold would be of another reference than those to come."""
    run, changed = tmp_path / "run", tmp_path / "data"
    shutil.copytree(whole, run)
    shutil.copytree(data, changed)
    write_nifti(changed / "labels" / "c1.nii.gz", np.ones(SHAPE, dtype=np.uint8), AFFINE)
    line = refusal(capsys, ["train", "--resume", str(run), "--data", str(changed)])
    assert line.startswith("mednoisy: E381 case 'c1': its label has changed since")


def test_a_run_without_folds_is_none_with(data, whole, tmp_path, capsys):
    single = tmp_path / "single"
    assert main(arguments(data, single, "--validation", "0", folds=None)) == 0
    line = refusal(capsys, arguments(data, single, "--resume"))
    assert line.startswith(f"mednoisy: E313 the run in {single} has folds None, this one 2")
    line = refusal(capsys, arguments(data, whole, "--validation", "0", "--resume", folds=None))
    assert line.startswith(f"mednoisy: E313 the run in {whole} has folds 2, this one None")
    assert yaml.safe_load((whole / "config.yaml").read_text())["fold"] is None


def test_an_unlabeled_image_that_cannot_be_read_is_listed(data, tmp_path, capsys):
    """A method that sees none trains all the same; the others are predicted."""
    damaged, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, damaged)
    (damaged / "images" / "u1.nii.gz").write_bytes(b"")
    assert "E202 case 'u1'" in refusal(capsys, arguments(damaged, run, method="supervised"), code=1)
    assert read_summary(run).facts["predicted"].startswith("1 unlabeled case by the 2 networks")
    assert [path.name for path in (run / "predictions").iterdir()] == ["b3.nii.gz"]


def test_an_unlabeled_image_that_training_needs_is_refused_and_nothing_is_left(data, tmp_path, capsys):
    """Mean teacher sees it in the first fold, before any step."""
    damaged, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, damaged)
    (damaged / "images" / "u1.nii.gz").write_bytes(b"")
    assert "E202 case 'u1'" in refusal(capsys, arguments(damaged, run))
    assert not run.exists()


def test_a_refusal_after_folds_were_trained_leaves_them(data, tmp_path, capsys, monkeypatch):
    """It ends with exit code 1, for a part was done, and the run goes on from there."""

    def refuse(*_: object) -> None:
        raise UserError("E373", "units differ", "Train again")

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(cross_validation, "write_pooled", refuse)
        assert "E373 units differ" in refusal(capsys, arguments(data, run, method="supervised"), code=1)
    assert len(folds_of(run)) == 2
    assert main(["train", "--resume", str(run)]) == 0
