"""`predict --expected-dice`: how good predictions without a reference are likely to be."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mednoisy import expected_dice as module
from mednoisy.active.expected_quality import Expected
from mednoisy.cli import main
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.expected_dice import ExpectedCase, expected_dice, write_expected_dice
from tests.test_cross_validation import arguments, refusal, rows, write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("balls"))


@pytest.fixture(scope="module")
def folds(data, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "folds"
    assert main(arguments(data, run, method="supervised")) == 0
    return run


@pytest.fixture(scope="module")
def students(data, tmp_path_factory) -> Path:
    """A run of two students that are scored on one test case."""
    run = tmp_path_factory.mktemp("runs") / "students"
    words = arguments(data, run, "--validation", "0", folds=None, method="sdcl")
    assert main(words) == 0
    return run


def predict(run: Path, data: Path, output: Path, *names: str) -> list[str]:
    images = [str(data / "images" / f"{name}.nii.gz") for name in names]
    return ["predict", str(run), *images, "--output", str(output), "--device", "cpu", "--expected-dice"]


def test_folds_are_calibrated_by_the_cases_held_out(folds, data, tmp_path, capsys):
    """Four cases can claim four of five; what is asked again is told again."""
    assert main(predict(folds, data, tmp_path / "out", "u1", "b3")) == 0
    told = capsys.readouterr().out
    assert f"expected Dice, lowest first: {tmp_path / 'out' / 'expected_dice.csv'}" in told
    assert " in 4 of 5)" in told
    found = rows(tmp_path / "out" / "expected_dice.csv")
    assert {row["case"] for row in found} == {"u1", "b3"}
    assert [float(row["expected_dice"]) for row in found] == sorted(float(row["expected_dice"]) for row in found)
    for row in found:
        assert (row["class"], row["covers"]) == ("atrium", "4 of 5")
        assert 0 <= float(row["low"]) <= float(row["expected_dice"]) <= float(row["high"]) <= 1
    assert main(predict(folds, data, tmp_path / "out", "u1", "b3")) == 0
    assert rows(tmp_path / "out" / "expected_dice.csv") == found


def test_one_scored_case_is_met_exactly_and_has_no_interval(students, data):
    """The shift from its agreement to its Dice, applied to itself."""
    (scored,) = read_finished_run(students).metrics
    image = str(data / "images" / "t1.nii.gz")
    (found,) = expected_dice(students, [{"id": "t1", "image": image}], device="cpu")
    assert found.classes["atrium"].dice == pytest.approx(float(scored["dice"]))
    assert found.classes["atrium"].low is None
    assert "no interval: 0 calibration cases" in str(found.classes["atrium"])


class Constant(nn.Module):
    """Foreground where x is below a bound, whatever the image shows."""

    divisor = 1

    def __init__(self, bound: int):
        super().__init__()
        self.bound = bound

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        where = (torch.arange(image.shape[2]) < self.bound).float().reshape(1, 1, -1, 1, 1)
        foreground = 10 * (where.expand(len(image), 1, *image.shape[2:]) - 0.5)
        return torch.cat([-foreground, foreground], dim=1)


def test_agreement_is_that_of_the_two_students(students):
    """Slabs of 4 and 12 voxels: Dice 2 x 4 / 16."""
    run = module.opened_run(students, device="cpu")
    together = module.MeanEnsemble([Constant(4), Constant(12)])
    assert module._agreements(together, torch.zeros(1, 16, 16, 16), run, [1]) == {1: 0.5}
    alone = module._agreements(Constant(4), torch.zeros(1, 16, 16, 16), run, [1])[1]
    assert alone == pytest.approx((3 + 3 * 0.0) / 6)  # of four views only the one flipped along x differs


def test_the_table_has_what_is_known(tmp_path):
    known, unknown = Expected(0.5, 0.25, 0.75, "8 of 9"), Expected(0.75, None, None, "no interval: few")
    case = ExpectedCase("=a,b", {"one": known, "two": unknown}, {"one": 0.6, "two": 0.85})
    assert case.dice == 0.625
    with open(write_expected_dice(tmp_path, [case]), newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream))[1:] == [
            ["=a,b", "one", "0.5000", "0.2500", "0.7500", "8 of 9", "0.6000"],
            ["=a,b", "two", "0.7500", "", "", "no interval: few", "0.8500"],
        ]


def test_a_run_that_has_scored_nothing_is_refused_before_it_predicts(tmp_path, data, capsys):
    bare = write_dataset(tmp_path / "bare", lambda content: content.pop("test"))
    run = tmp_path / "run"
    assert main(arguments(bare, run, "--validation", "0", folds=None, method="supervised")) == 0
    told = refusal(capsys, predict(run, data, tmp_path / "out", "u1"))
    assert told == (
        f"mednoisy: E396 {run} has scored no case, so nothing tells how good its predictions are. "
        "Train with --folds, or drop --expected-dice."
    )
    assert not (tmp_path / "out" / "u1.nii.gz").exists()


def test_an_unreadable_image_is_told_and_the_others_go_on(students, data, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    faults = []
    cases = [{"id": "broken", "image": str(broken)}, {"id": "u1", "image": str(data / "images" / "u1.nii.gz")}]
    found = expected_dice(students, cases, device="cpu", on_fault=faults.append)
    assert [case.case for case in found] == ["u1"]
    assert [fault.case for fault in faults] == ["broken"]
    assert np.isfinite(found[0].dice)
