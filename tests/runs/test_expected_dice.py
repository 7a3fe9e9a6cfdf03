"""`predict --expected-dice`: how good predictions without a reference are likely to be."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mednoisy.active.expected_quality import Expected
from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.runs import expected_dice as module
from mednoisy.runs.expected_dice import ExpectedCase, expected_dice, write_expected_dice
from tests.runs.test_cross_validation import arguments, refusal, rows, write_dataset


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
    """Four cases of three patients can claim three of four; what is asked again is told again."""
    assert main(predict(folds, data, tmp_path / "out", "u1", "b3")) == 0
    told = capsys.readouterr().out
    assert f"expected Dice, lowest first: {tmp_path / 'out' / 'expected_dice.csv'}" in told
    assert " in 3 of 4)" in told
    found = rows(tmp_path / "out" / "expected_dice.csv")
    assert {row["case"] for row in found} == {"u1", "b3"}
    assert [float(row["expected_dice"]) for row in found] == sorted(float(row["expected_dice"]) for row in found)
    for row in found:
        assert (row["class"], row["covers"]) == ("atrium", "3 of 4")
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


def test_the_page_of_folds_tells_what_to_expect_of_each_unlabeled_case(folds, data, tmp_path):
    """As `predict --expected-dice` does, the worst first, with the interval and what it covers."""
    kept = rows(folds / "expected_dice.csv")
    assert {row["case"] for row in kept} == {case.stem.split(".")[0] for case in (folds / "predictions").iterdir()}
    names = sorted({row["case"] for row in kept})
    assert main(predict(folds, data, tmp_path / "out", *names)) == 0
    assert rows(tmp_path / "out" / "expected_dice.csv") == kept
    page = (folds / "report.html").read_text(encoding="utf-8")
    section = page[page.index("Predictions without a reference") :].split("</section>")[0]
    assert "atrium: intervals are made to hold the truth in 3 of 4 new cases, on average over calibrations" in section
    assert "19 of 20 of these keep 37 % or more" in section
    assert re.findall(r'<th scope="row">(\w+)</th>', section) == [row["case"] for row in kept]
    low, high = (f"{100 * float(kept[0][name]):.1f}" for name in ("low", "high"))
    assert f"<small>{low} to {high}</small>" in section


def test_what_is_told_already_is_not_made_again_but_by_evaluate(folds, tmp_path, monkeypatch):
    run = shutil.copytree(folds, tmp_path / "run")
    before = (run / "expected_dice.csv").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("mednoisy.runs.cross_validation.expected_dice", None)  # whoever calls it fails
        assert main(["train", "--resume", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert (run / "expected_dice.csv").read_bytes() == before
    (run / "expected_dice.csv").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "expected_dice.csv").read_bytes() == before


def test_a_page_says_why_nothing_is_expected_and_refuses_a_damaged_table(folds, tmp_path, monkeypatch, capsys):
    run = shutil.copytree(folds, tmp_path / "run")

    def nothing(*words, **more):
        raise UserError("E396", "no case tells", "Train")

    with monkeypatch.context() as patched:
        patched.setattr("mednoisy.runs.cross_validation.expected_dice", nothing)
        assert main(["evaluate", str(run)]) == 0
    assert not (run / "expected_dice.csv").exists()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What Dice to expect of them is not told: no held-out case has a Dice that could calibrate it." in page
    (run / "expected_dice.csv").write_text("case,class\nu1,atrium\n", encoding="utf-8")
    assert "E591" in refusal(capsys, ["report", str(run), "--output", str(tmp_path / "page.html")])


def test_a_run_without_folds_has_no_such_section(students):
    assert "Predictions without a reference" not in (students / "report.html").read_text(encoding="utf-8")


def test_the_benchmark_compares_with_hidden_references(folds, data, tmp_path, capsys):
    """Of a run whose unlabeled cases hide theirs; one without is refused."""
    from benchmarks import expected_dice as benchmark

    capsys.readouterr()
    assert benchmark.main([str(folds)]) == 2
    assert "E517" in capsys.readouterr().err
    run = tmp_path / "run"
    assert main(arguments(data, run, "--labeled", "2", "--validation", "0", folds=None, method="supervised")) == 0
    capsys.readouterr()
    assert benchmark.main([str(run)]) == 0
    told = capsys.readouterr().out
    assert "| expected Dice | " in told
    assert re.search(r"run: \d+ cases, mean Dice \d", told)
