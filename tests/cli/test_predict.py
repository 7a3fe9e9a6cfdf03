"""`mednoisy predict`: what it takes, what it leaves, what it does not make twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.file_matching import MADE_BY
from mednoisy.data.images import read_image, read_series, write_nifti
from mednoisy.evaluation.prediction_pairs import find_pairs
from mednoisy.inference import pace
from mednoisy.runs import predict_with_run
from tests.data.formats.dicom_files import PRIVATE, series
from tests.runs.test_cross_validation import SHAPE, arguments, rows, write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Labeled and unlabeled scans, and none to score."""
    return write_dataset(tmp_path_factory.mktemp("balls"), lambda content: content.pop("test"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A run without validation and test cases."""
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(arguments(data, run, "--validation", "0", folds=None)) == 0
    return run


@pytest.fixture
def made(monkeypatch) -> list[list[str]]:
    """Ids of the cases that each call gave to the networks."""
    calls: list[list[str]] = []
    predict = predict_with_run.predict_files

    def noted(cases, *arguments, **more):
        calls.append([case["id"] for case in cases])
        return predict(cases, *arguments, **more)

    monkeypatch.setattr(predict_with_run, "predict_files", noted)
    return calls


def predict(run: Path, output: Path, *words: str) -> int:
    return main(["predict", str(run), *words, "--output", str(output), "--device", "cpu"])


def test_a_run_that_nothing_scores_predicts_and_says_what_it_cannot_tell(run, data, tmp_path, capsys):
    """Without folds, validation or test; figures come from `evaluate` on what it predicts, as it stands."""
    assert (run / "metrics.csv").read_text().count("\n") == 1
    assert "mean_teacher is trained; there was no labeled case" in (run / "report.html").read_text(encoding="utf-8")
    labeled = f"{data}/images/[abc][12].nii.gz"
    output = tmp_path / "predictions"
    assert predict(run, output, labeled, str(data / "images" / "b3.nii.gz")) == 0
    listed = sorted(path.name for path in output.iterdir() if not path.name.startswith("."))
    assert listed == ["a1.nii.gz", "b1.nii.gz", "b2.nii.gz", "b3.nii.gz", "c1.nii.gz"]
    words = ["--references", str(data / "labels"), "--labels", "1=atrium", "--output", str(tmp_path / "scores")]
    capsys.readouterr()
    assert main(["evaluate", "--predictions", str(output), "--allow-missing", *words]) == 0
    assert {row["case"] for row in rows(tmp_path / "scores" / "metrics.csv")} >= {"a1", "b1", "b2", "c1"}


def test_what_is_there_is_not_made_again(run, data, tmp_path, made, capsys):
    """Unless the image, the networks or a setting changed, or it is wished; a label map corrected by hand stays."""
    scans, output = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name in ("a1", "u1"):
        shutil.copy(data / "images" / f"{name}.nii.gz", scans)
    assert predict(run, output, str(scans)) == 0
    corrected = np.ones(SHAPE, dtype=np.uint8)
    write_nifti(output / "a1.nii.gz", corrected, read_image(output / "a1.nii.gz").affine)
    shutil.copy(data / "images" / "c1.nii.gz", scans)
    (output / "u1.nii.gz").unlink()
    capsys.readouterr()
    assert predict(run, output, str(scans)) == 0
    told = capsys.readouterr()
    assert told.out.split() == [str(output / f"{name}.nii.gz") for name in ("a1", "c1", "u1")]
    assert "1 of 3 label maps are there already and are kept (else: --again)" in told.err
    np.testing.assert_array_equal(read_image(output / "a1.nii.gz").array, corrected)
    assert predict(run, output, str(scans)) == 0
    assert made == [["a1", "u1"], ["c1", "u1"]]

    write_nifti(scans / "u1.nii.gz", np.random.default_rng(5).normal(size=SHAPE).astype(np.float32), np.eye(4))
    assert predict(run, output, str(scans)) == 0
    assert predict(run, output, str(scans), "--stride", "8") == 0
    assert predict(run, output, str(scans), "--stride", "8", "8", "8") == 0
    assert predict(run, output, str(scans), "--stride", "8", "--again") == 0
    assert made[2:] == [["u1"], ["a1", "c1", "u1"], ["a1", "c1", "u1"]]
    assert (read_image(output / "a1.nii.gz").array != corrected).any()


def test_a_note_of_origin_that_is_damaged_keeps_nothing(run, data, tmp_path, made):
    image = str(data / "images" / "a1.nii.gz")
    for content in ("{", "[]", json.dumps({"made_by": {}, "images": 3})):
        tmp_path.joinpath(".made_by.json").write_text(content)
        assert predict(run, tmp_path, image) == 0
    assert made == [["a1"]] * 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--stride", "0"), "E100 argument --stride: '0'"),
        (("--stride", "17"), "E375 --stride 17 does not fit the run's patch of [16, 16, 16] voxels"),
        (("--stride", "8", "8"), "E375 --stride 8 8 does not fit"),
    ],
)
def test_strides_that_cannot_be_are_refused(words, told, run, data, tmp_path, capsys):
    assert predict(run, tmp_path / "out", str(data / "images" / "a1.nii.gz"), *words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stride_that_takes_long_is_told_with_a_quicker_one_and_kept(run, data, tmp_path, capsys, monkeypatch):
    """The label map is that of the run's own stride all the same; whoever chooses a stride is told nothing."""
    for name in ("LONG", "SURE_AFTER"):
        monkeypatch.setattr(pace, name, 0.0)
    fine = tmp_path / "fine"
    shutil.copytree(run, fine)
    config = (fine / "config.yaml").read_text(encoding="utf-8")
    (fine / "config.yaml").write_text(re.sub(r"(?m)^stride:\n(- 16\n)+", "stride: [1, 16, 16]\n", config))
    image = str(data / "images" / "a1.nii.gz")
    assert predict(fine, tmp_path / "own", image) == 0
    told = capsys.readouterr().err
    assert re.search(
        r"note: the image takes about \d+\.\d s at 1 16 16, the stride of the run's own figures; "
        r"--stride 8 16 16 takes about \d+\.\d s, with label maps that differ a little\n",
        told,
    )
    assert predict(fine, tmp_path / "same", image, "--stride", "1", "16", "16") == 0
    assert "--stride 8" not in capsys.readouterr().err
    maps = [read_image(tmp_path / name / "a1.nii.gz").array for name in ("own", "same")]
    np.testing.assert_array_equal(*maps)


def test_folders_of_slices_are_cases(run, tmp_path, made, capfd):
    """One below the other; a series that is none is left out and named, as is no field of a patient."""
    for name, seed in (("A 1", 1), ("B/study/first", 2), ("C", 3)):
        series(str(tmp_path / "scans" / name), seed)
    (tmp_path / "scans" / "C" / "IM6_1.dcm").unlink()
    output = tmp_path / "out"
    assert predict(run, output, str(tmp_path / "scans")) == 1
    told = capfd.readouterr()
    assert told.out.split("\n")[:2] == [str(output / f"{name}.nii.gz") for name in ("A 1", "B_study_first")]
    assert "E259 case 'C': " in told.err
    assert "a slice is missing" in told.err
    image, found = read_series(tmp_path / "scans" / "A 1"), read_image(output / "A 1.nii.gz")
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    written = "".join([told.out, told.err, *(str(path) for path in output.rglob("*")), (output / MADE_BY).read_text()])
    assert not [value for value in PRIVATE.values() if value in written]

    series(str(tmp_path / "scans" / "A 1"), 4)
    series(str(tmp_path / "scans" / "C"), 3)
    assert predict(run, output, str(tmp_path / "scans")) == 0
    assert made == [["A 1", "B_study_first", "C"], ["A 1", "C"]]


def test_other_predictors_have_folders_of_their_own(run, data, tmp_path, made, capsys):
    """Asked for later, they are made without those that are there; `evaluate` pairs the folder as it is."""
    output, image = tmp_path / "out", f"{data}/images/[ab]1.nii.gz"
    assert predict(run, output, f"{data}/images/a1.nii.gz") == 0
    corrected = np.ones(SHAPE, dtype=np.uint8)
    write_nifti(output / "a1.nii.gz", corrected, read_image(output / "a1.nii.gz").affine)
    assert predict(run, output, image, "--others") == 0
    assert predict(run, output, image, "--others") == 0
    assert made == [["a1"], ["a1"], ["b1"]]
    np.testing.assert_array_equal(read_image(output / "a1.nii.gz").array, corrected)
    assert sorted(path.name for path in (output / "teacher").glob("*.nii.gz")) == ["a1.nii.gz", "b1.nii.gz"]
    assert not (output / "student").exists()
    shutil.copytree(data / "labels", tmp_path / "labels", ignore=lambda _, names: {*names} - {"a1.nii.gz", "b1.nii.gz"})
    for folder in (output, output / "teacher"):
        assert [pair.id for pair in find_pairs(folder, tmp_path / "labels").pairs] == ["a1", "b1"]
