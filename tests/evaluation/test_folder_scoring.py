"""Folders of planted label maps: figures worked out by hand, and faults that leave the other cases alone."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mednoisy.data.images import write_nifti
from mednoisy.errors import UserError
from mednoisy.evaluation import folder_scoring as folders
from mednoisy.evaluation.folder_scoring import ScoringRules, evaluate_folders
from mednoisy.files import locked

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
CUBE = (slice(2, 6),) * 3


def box(*parts: tuple[slice, ...], codes: tuple[int, ...] = (1, 2), shape=(12, 10, 9)) -> np.ndarray:
    labels = np.zeros(shape, dtype=np.uint8)
    for part, code in zip(parts, codes, strict=False):
        labels[part] = code
    return labels


def moved(voxels: int) -> tuple[slice, ...]:
    return (slice(2 + voxels, 6 + voxels), *CUBE[1:])


@pytest.fixture
def pair_of_folders(tmp_path: Path) -> tuple[Path, Path]:
    """Cases `exact` and `off 1` (moved by one voxel of 1 mm); the folders' names hold a blank and an umlaut."""
    predictions, references = tmp_path / "voraus sagen", tmp_path / "prüfung"
    for name, step in (("exact", 0), ("off 1", 1)):
        write_nifti(predictions / f"{name}.nii.gz", box(moved(step)), AFFINE)
        write_nifti(references / f"{name}.nii.gz", box(CUBE), AFFINE)
    return predictions, references


def table(output: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(output / "metrics.csv", newline="", encoding="utf-8") as stream:
        return {(row["case"], row["class"]): row for row in csv.DictReader(stream)}


def summary(output: Path) -> dict:
    return json.loads((output / "summary.json").read_text(encoding="utf-8"))


def test_figures_are_those_worked_out_by_hand(pair_of_folders, tmp_path):
    assert evaluate_folders(*pair_of_folders, tmp_path / "out", ScoringRules({1: "cube"}), workers=1) == []
    rows = table(tmp_path / "out")
    assert list(rows["exact", "1"]) == [
        "case", "class", "dice", "jaccard", "hd95", "asd", "assd", "hd", "nsd", "volume_prediction", "volume_reference",
    ]  # fmt: skip
    exact, off = rows["exact", "1"], rows["off 1", "1"]
    assert (float(exact["dice"]), float(exact["hd"]), float(exact["nsd"])) == (1, 0, 1)
    assert float(off["dice"]) == 2 * 48 / 128
    assert float(off["jaccard"]) == 48 / 80
    assert (float(off["hd"]), float(off["hd95"])) == (1, 1)
    assert float(off["volume_reference"]) == pytest.approx(64 * 3 / 1000)
    written = summary(tmp_path / "out")
    assert (written["schema"], written["shown"], written["deployed"]) == (3, "given", "prediction")
    assert written["labels"] == {"1": "cube"}
    figures = written["checkpoints"]["given"]["predictors"]["prediction"]
    assert figures["all"]["dice"]["mean"] == pytest.approx((1 + 0.75) / 2)
    assert [entry["id"] for entry in written["cases"]] == ["exact", "off 1"]
    assert written["cases"][0]["diagonal"] == pytest.approx(math.sqrt(12**2 + (10 * 1.5) ** 2 + (9 * 2) ** 2))


def test_workers_change_nothing_but_the_time(pair_of_folders, tmp_path):
    (pair_of_folders[0] / "off 1.nii.gz").write_bytes(b"")
    reasons = []
    for workers in (1, 2):
        faults = evaluate_folders(*pair_of_folders, tmp_path / str(workers), workers=workers)
        reasons.append([str(fault) for fault in faults])
    assert reasons[0] == reasons[1]
    assert len(reasons[0]) == 1
    assert (tmp_path / "1" / "metrics.csv").read_bytes() == (tmp_path / "2" / "metrics.csv").read_bytes()


def test_a_class_that_few_cases_have_gets_a_row_in_all(pair_of_folders, tmp_path):
    predictions, references = pair_of_folders
    second = (slice(8, 10), slice(7, 9), slice(6, 8))
    write_nifti(references / "off 1.nii.gz", box(CUBE, second), AFFINE)
    evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    rows = table(tmp_path / "out")
    assert set(rows) == {("exact", "1"), ("exact", "2"), ("off 1", "1"), ("off 1", "2")}
    absent, missed = rows["exact", "2"], rows["off 1", "2"]
    assert (absent["dice"], absent["hd95"], absent["volume_reference"]) == ("", "", "0.0")
    assert (missed["dice"], missed["hd95"], missed["volume_prediction"]) == ("0.0", "", "0.0")
    figures = summary(tmp_path / "out")["checkpoints"]["given"]["predictors"]["prediction"]["classes"]["2"]
    assert (figures["dice"]["undefined"], figures["hd95"]["undefined"]) == (1, 2)
    assert figures["hd95"]["penalised"] == pytest.approx(math.sqrt(12**2 + (10 * 1.5) ** 2 + (9 * 2) ** 2))


def test_a_flipped_file_in_the_same_space_scores_alike(pair_of_folders, tmp_path):
    predictions, references = pair_of_folders
    turned = AFFINE @ np.array([[1, 0, 0, 0], [0, -1, 0, 9], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_nifti(predictions / "off 1.nii.gz", box(moved(1))[:, ::-1], turned)
    evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    assert float(table(tmp_path / "out")["off 1", "1"]["dice"]) == 0.75
    assert any("off 1" in note for note in summary(tmp_path / "out")["notes"])
    faults = evaluate_folders(predictions, references, tmp_path / "strict", ScoringRules(strict=True), workers=1)
    assert [fault.case for fault in faults] == ["off 1"]


@pytest.mark.parametrize("content", [b"", b"no image at all", None])
def test_a_damaged_file_is_named_and_the_rest_scored(pair_of_folders, tmp_path, content):
    predictions, references = pair_of_folders
    damaged = predictions / "exact.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:60] if content is None else content)
    faults = evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    assert [fault.case for fault in faults] == ["exact"]
    assert "exact.nii.gz" in str(faults[0])
    assert set(table(tmp_path / "out")) == {("off 1", "1")}
    assert [failed["id"] for failed in summary(tmp_path / "out")["failed"]] == ["exact"]


def test_nothing_is_written_where_no_case_can_be_scored(pair_of_folders, tmp_path):
    predictions, references = pair_of_folders
    for file in predictions.iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"E431 .*exact: .*0 bytes.*; nor off 1"):
        evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    assert not list((tmp_path / "out").glob("[!.]*"))


def test_extra_codes_are_refused_unless_mapped(pair_of_folders, tmp_path):
    predictions, references = pair_of_folders
    write_nifti(predictions / "exact.nii.gz", box(CUBE, codes=(7,)), AFFINE)
    faults = evaluate_folders(predictions, references, tmp_path / "out", ScoringRules({1: "cube"}), workers=1)
    assert [fault.case for fault in faults] == ["exact"]
    assert "7" in str(faults[0])
    rules = ScoringRules({1: "cube"}, mapping={7: 1})
    assert evaluate_folders(predictions, references, tmp_path / "mapped", rules, workers=1) == []
    assert float(table(tmp_path / "mapped")["exact", "1"]["dice"]) == 1


def test_missing_partners_are_refused_or_left_out_and_told(pair_of_folders, tmp_path):
    predictions, references = pair_of_folders
    (predictions / "exact.nii.gz").unlink()
    with pytest.raises(UserError, match="exact"):
        evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    assert evaluate_folders(predictions, references, tmp_path / "out", allow_missing=True, workers=1) == []
    assert "reference without prediction, left out: exact" in summary(tmp_path / "out")["notes"]


def test_a_training_run_is_not_written_over(pair_of_folders, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match=r"E430 .*holds a training run"):
        evaluate_folders(*pair_of_folders, tmp_path, workers=1)


def test_a_worker_that_dies_is_told(pair_of_folders, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "score_pair", _die)
    with pytest.raises(UserError, match=r"E432 .*killed.*fewer --workers"):
        evaluate_folders(*pair_of_folders, tmp_path / "out", workers=2)


def _die(pair: object, rules: object) -> None:
    import os

    os._exit(9)


def test_scoring_loads_neither_torch_nor_monai(pair_of_folders, tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom mednoisy.evaluation.folder_scoring import evaluate_folders\n"
        "evaluate_folders(*map(Path, sys.argv[1:]), workers=1)\n"
        "print(sorted({'torch', 'monai'} & set(sys.modules)))"
    )
    places = [str(place) for place in (*pair_of_folders, tmp_path / "out")]
    shown = subprocess.run([sys.executable, "-c", program, *places], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_memory_does_not_grow_with_the_number_of_cases(pair_of_folders, tmp_path):
    """Forty volumes of 8 MB: what one process holds stays below a few of them."""
    predictions, references = tmp_path / "many", tmp_path / "all"
    shape = (200, 200, 200)
    write_nifti(tmp_path / "one.nii.gz", box(CUBE, shape=shape), AFFINE)
    for number in range(40):
        for folder in (predictions, references):
            folder.mkdir(exist_ok=True)
            shutil.copy(tmp_path / "one.nii.gz", folder / f"{number}.nii.gz")
    program = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from mednoisy.evaluation.folder_scoring import evaluate_folders\n"
        "paths = [Path(place) for place in sys.argv[1:]]\n"
        "evaluate_folders(*paths[:2], paths[2], allow_missing=True, workers=1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def peak(of: Path) -> int:
        places = [str(place) for place in (of, references, tmp_path / f"out {of.name}")]
        return int(subprocess.run([sys.executable, "-c", program, *places], capture_output=True, check=True).stdout)

    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(tmp_path / "one.nii.gz", few / "0.nii.gz")
    assert peak(predictions) - peak(few) < 3 * math.prod(shape) / 1024


def test_a_second_evaluation_into_one_folder_is_refused(pair_of_folders, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(UserError, match=r"E314 another process is at work"):
        evaluate_folders(*pair_of_folders, tmp_path / "out", workers=1)
    assert evaluate_folders(*pair_of_folders, tmp_path / "out", workers=1) == []


@pytest.mark.parametrize("name", ["line\rbreak", os.fsdecode(b"pr\xfcfung")])
def test_names_that_no_table_can_hold_are_refused(pair_of_folders, tmp_path, name):
    for folder in pair_of_folders:
        (folder / "exact.nii.gz").rename(folder / f"{name}.nii.gz")
    with pytest.raises(UserError, match=r"E433 .*Rename the files"):
        evaluate_folders(*pair_of_folders, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_nothing_but_background_is_refused_without_labels(pair_of_folders, tmp_path):
    for folder in pair_of_folders:
        for file in folder.iterdir():
            write_nifti(file, box(), AFFINE)
    with pytest.raises(UserError, match=r"E434 .*--labels"):
        evaluate_folders(*pair_of_folders, tmp_path / "out", workers=1)
    assert evaluate_folders(*pair_of_folders, tmp_path / "named", ScoringRules({1: "cube"}), workers=1) == []
    assert table(tmp_path / "named")["exact", "1"]["dice"] == ""


def test_a_single_slice_is_scored_in_two_dimensions(pair_of_folders, tmp_path):
    """A square moved by 1 mm: of its 12 edge pixels 4 are 1 mm off, and the area is in mm²."""
    predictions, references = pair_of_folders
    for folder, step in ((predictions, 1), (references, 0)):
        labels = np.zeros((12, 10, 1), np.uint8)
        labels[2 + step : 6 + step, 2:6] = 1
        for name in ("exact", "off 1"):
            write_nifti(folder / f"{name}.nii.gz", labels, np.diag([1, 1, 5, 1.0]))
    evaluate_folders(predictions, references, tmp_path / "out", workers=1)
    row = table(tmp_path / "out")["exact", "1"]
    assert float(row["asd"]) == pytest.approx(6 / 12)
    assert float(row["volume_reference"]) == 16


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_leaves_neither_workers_nor_files(pair_of_folders, tmp_path, number):
    predictions, references = pair_of_folders
    for case in range(300):
        for folder in pair_of_folders:
            shutil.copy(folder / "exact.nii.gz", folder / f"{case}.nii.gz")
    call = [sys.executable, "-m", "mednoisy", "evaluate", "--predictions", predictions, "--references", references]
    command = subprocess.Popen(
        [*call, "--output", tmp_path / "out", "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )  # fmt: skip
    while not (tmp_path / "out" / ".lock").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    command.send_signal(number)
    _, told = command.communicate(timeout=60)  # returns when the last worker has let go of the pipe
    assert command.returncode == 1
    assert [line for line in told.splitlines() if "evaluate:" not in line] == [
        f"mednoisy: interrupted by {signal.Signals(number).name}"
    ]
    assert not (tmp_path / "out" / "metrics.csv").exists()
