"""`predict --keep-largest`: which classes it is good for, told by cases that no network has seen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mednoisy.cli import main
from mednoisy.data.image import Image
from mednoisy.data.images import read_image, write_nifti
from mednoisy.data.label_maps import LabelMap
from mednoisy.inference.largest_component import kept_largest
from mednoisy.runs import predict_with_run
from mednoisy.runs.largest_choice import effects
from tests.runs.test_cross_validation import AFFINE, LABELED, arguments, refusal, voxels, write_dataset

LABELS = {0: "background", 1: "one", 2: "pair", 3: "absent"}


def reference() -> np.ndarray:
    """Class 1 is one body, class 2 two of 27 and of 8 voxels."""
    labels = np.zeros((16, 12, 10), np.uint8)
    labels[1:4, 1:4, 1:4] = 1
    labels[6:9, 6:9, 1:4] = 2
    labels[6:8, 1:3, 7:9] = 2
    return labels


def case(tmp_path: Path, predicted: np.ndarray, ignored: np.ndarray | None = None) -> tuple[str, np.ndarray, LabelMap]:
    write_nifti(tmp_path / "reference.nii.gz", reference(), np.diag([2.0, 1.0, 1.0, 1.0]))
    image: Image = read_image(tmp_path / "reference.nii.gz", "label")
    return "a", predicted, LabelMap(replace(image, array=np.asarray(image.array)), ignored=ignored)


def test_it_helps_a_class_of_one_body_and_not_one_of_two(tmp_path):
    predicted = reference()
    predicted[15, 11, 9] = 1
    found = effects(iter([case(tmp_path, predicted)]), LABELS)
    assert [(found[code].name, found[code].helps) for code in (1, 2, 3)] == [
        ("one", True), ("pair", False), ("absent", False),
    ]  # fmt: skip
    assert found[1].dice == pytest.approx((2 * 27 / 55, 1.0))
    assert found[1].hd95[1] == 0
    assert found[2].dice == pytest.approx((1.0, 2 * 27 / 62))
    assert str(found[2]).startswith("pair no (Dice 100.0 to 87.1, HD95 0.0 to ")
    assert np.isnan(found[3].dice).all()


def test_what_nobody_looked_at_counts_for_nothing(tmp_path):
    predicted = reference()
    predicted[15, 11, 9] = 1
    found = effects(iter([case(tmp_path, predicted, ignored=np.indices(predicted.shape)[0] == 15)]), LABELS)
    assert found[1].dice == (1.0, 1.0)
    assert not found[1].helps


def test_a_class_that_is_not_named_stays():
    labels = torch.tensor([[1, 0, 1, 1, 0, 2, 0, 2, 2]], dtype=torch.uint8)
    assert kept_largest(labels, "full", [1]).tolist() == [[0, 0, 1, 1, 0, 2, 0, 2, 2]]
    assert kept_largest(labels, "full", []).tolist() == labels.tolist()


# Through the command line


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("balls"))


@pytest.fixture(scope="module")
def folds(data, tmp_path_factory) -> Path:
    """A cross-validated run whose networks drew the references of the cases held out, and a speck far off."""
    run = tmp_path_factory.mktemp("runs") / "folds"
    assert main(arguments(data, run, method="supervised")) == 0
    for name in LABELED:
        (path,) = run.glob(f"folds/*/predictions/{name}.nii.gz")
        labels = voxels(data / "labels" / f"{name}.nii.gz").astype(np.uint8)
        labels[-1, -1, -1] = 1
        write_nifti(path, labels, AFFINE)
    return run


class Threshold(torch.nn.Module):
    """A network that takes what is brighter than most for foreground: the ball, and specks of noise."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), 10 * (image - 1.5)], dim=1)


@pytest.fixture(autouse=True)
def threshold(monkeypatch):
    monkeypatch.setattr(predict_with_run, "_deployed_at", lambda parser, folder: ("student", Threshold(), 2))


def predicted(run: Path, data: Path, output: Path, *words: str) -> np.ndarray:
    image = data / "images" / "t1.nii.gz"
    assert main(["predict", str(run), str(image), "--output", str(output), "--device", "cpu", *words]) == 0
    return voxels(output / "t1.nii.gz")


def cleaned(labels: np.ndarray) -> np.ndarray:
    return kept_largest(torch.from_numpy(labels.astype(np.uint8)), "full").numpy()


def test_the_choice_of_folds_is_told_and_applied(folds, data, tmp_path, capsys):
    plain = predicted(folds, data, tmp_path / "plain")
    assert not np.array_equal(cleaned(plain), plain)  # or this would show nothing
    capsys.readouterr()
    chosen = predicted(folds, data, tmp_path / "chosen", "--keep-largest")
    told = capsys.readouterr().err
    assert "largest component alone, by 4 held-out cases: atrium yes (Dice " in told
    np.testing.assert_array_equal(chosen, cleaned(plain))
    again = predicted(folds, data, tmp_path / "plain", "--keep-largest")  # in the folder of other settings
    np.testing.assert_array_equal(again, chosen)


def test_where_it_does_not_help_nothing_is_removed(folds, data, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(folds, run)
    for path in run.glob("folds/*/predictions/*.nii.gz"):
        shutil.copyfile(data / "labels" / path.name, path)
    plain = predicted(run, data, tmp_path / "plain")
    assert np.array_equal(predicted(run, data, tmp_path / "chosen", "--keep-largest"), plain)
    assert "atrium no (Dice 100.0 to 100.0, HD95 0.0 to 0.0)" in capsys.readouterr().err
    assert np.array_equal(predicted(run, data, tmp_path / "named", "--keep-largest", "atrium"), cleaned(plain))
    assert np.array_equal(predicted(run, data, tmp_path / "all", "--keep-largest", "all"), cleaned(plain))


def test_validation_cases_choose_where_there_are_no_folds_and_test_cases_never(data, tmp_path, capsys):
    run, image = tmp_path / "run", str(data / "images" / "t1.nii.gz")
    words = ("--validation", "1", "--labeled", "2")
    assert main([*arguments(data, run, folds=None, method="supervised"), *words]) == 0
    capsys.readouterr()
    predicted(run, data, tmp_path / "chosen", "--keep-largest")
    assert "largest component alone, by 1 validation case: atrium " in capsys.readouterr().err
    alone = tmp_path / "alone"
    assert main([*arguments(data, alone, "--validation", "0", folds=None, method="supervised")]) == 0
    order = ["predict", str(alone), image, "--output", str(tmp_path / "none"), "--device", "cpu", "--keep-largest"]
    told = refusal(capsys, order)
    assert told == (
        f"mednoisy: E323 {alone} has neither folds nor validation cases to choose by. "
        "Name the classes: --keep-largest atrium, or all."
    )
    assert not list((tmp_path / "none").glob("*.nii.gz"))
    predicted(alone, data, tmp_path / "none", "--keep-largest", "atrium")  # the cure
    assert refusal(capsys, [*order, "atria"]).startswith("mednoisy: E324 the run knows no class 'atria'")
