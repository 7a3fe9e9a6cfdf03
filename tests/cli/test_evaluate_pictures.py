"""Masks as pictures under `mednoisy evaluate`: white, marks, turned pictures, files that are none."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main

ROWS, COLUMNS = np.mgrid[:60, :80]
FAR = np.hypot(ROWS - 30, COLUMNS - 40)
DISC = (FAR < 12).astype(np.uint8)


def masks(folder: Path, **arrays: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        Picture.fromarray(array).save(folder / f"{name}.png")


def evaluated(folder: Path, *more: str) -> int:
    folders = ["--predictions", str(folder / "p"), "--references", str(folder / "r"), "--output", str(folder / "o")]
    return main(["evaluate", *folders, "--workers", "1", *more])


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "o" / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("white", [np.uint8(254), np.uint16(65535)])
@pytest.mark.parametrize("more", [[], ["--labels", "1=lesion"]])
def test_two_encodings_of_white_are_one_class(tmp_path, white, more):
    masks(tmp_path / "r", a=DISC * white)
    masks(tmp_path / "p", a=DISC * np.uint8(255))
    assert evaluated(tmp_path, *more) == 0
    assert [(row["class"], float(row["dice"])) for row in rows(tmp_path)] == [("1", 1)]
    page = (tmp_path / "o" / "report.html").read_text()
    assert "No picture" not in page


def test_a_soft_mask_without_white_is_read_as_those_beside_it(tmp_path):
    tiny = np.zeros((60, 80), np.uint8)
    tiny[30, 40:42], tiny[31, 40:42] = (238, 189), (180, 119)
    masks(tmp_path / "r", a=DISC * np.uint8(255), b=tiny)
    masks(tmp_path / "p", a=DISC * np.uint8(255), b=(tiny > 127) * np.uint8(255))
    assert evaluated(tmp_path) == 0
    assert [(row["class"], float(row["dice"])) for row in rows(tmp_path)] == [("1", 1), ("1", 1)]
    assert "reference greys thresholded at 127: b" in (tmp_path / "o" / "summary.json").read_text()


def test_classes_without_a_common_code_are_refused(tmp_path, capsys):
    masks(tmp_path / "r", a=DISC * np.uint8(255))
    masks(tmp_path / "p", a=DISC * np.uint8(128))
    assert evaluated(tmp_path) == 2
    assert "E241 predictions hold the codes 128 and references 1, none in common. Exchange" in capsys.readouterr().err
    assert not (tmp_path / "o" / "metrics.csv").exists()
    assert evaluated(tmp_path, "--map", "128=1", "255=1") == 0
    assert float(rows(tmp_path)[0]["dice"]) == 1


def marked() -> tuple[np.ndarray, np.ndarray, float]:
    """A reference with a rim that is marked 255, a prediction beyond it, and the Dice of what is left."""
    reference = np.where(FAR < 12, 1, np.where(FAR < 16, 255, 0)).astype(np.uint8)
    prediction = (FAR < 15).astype(np.uint8)
    prediction[0:3] = 1
    kept = reference != 255
    overlap = ((prediction == 1) & (reference == 1)).sum()
    return reference, prediction, 2 * overlap / (((prediction == 1) & kept).sum() + (reference == 1).sum())


@pytest.mark.parametrize("more", [[], ["--labels", "1=lesion"], ["--labels", "1", "2"]])
def test_pixels_of_an_ignored_code_count_in_neither(tmp_path, more):
    reference, prediction, dice = marked()
    masks(tmp_path / "r", a=reference)
    masks(tmp_path / "p", a=prediction)
    assert evaluated(tmp_path, "--ignore", "255", *more) == 0
    assert float(rows(tmp_path)[0]["dice"]) == pytest.approx(dice)
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["ignored"] == [255]
    assert summary["run"]["ignored codes"] == f"255: {(reference == 255).sum()} voxels left out"


def test_white_predictions_stay_white_beside_an_ignored_code(tmp_path):
    reference, prediction, dice = marked()
    masks(tmp_path / "r", a=reference)
    masks(tmp_path / "p", a=prediction * np.uint8(255))
    assert evaluated(tmp_path, "--ignore", "255") == 0
    assert float(rows(tmp_path)[0]["dice"]) == pytest.approx(dice)


def test_a_mark_is_told_to_be_ignored(tmp_path, capsys):
    reference, prediction, _ = marked()
    masks(tmp_path / "r", a=reference)
    masks(tmp_path / "p", a=prediction)
    assert evaluated(tmp_path, "--labels", "1=lesion") == 2
    assert "`evaluate` can leave a mark out (--ignore 255)" in capsys.readouterr().err


def test_a_code_is_scored_or_ignored(tmp_path, capsys):
    masks(tmp_path / "r", a=DISC)
    masks(tmp_path / "p", a=DISC)
    assert evaluated(tmp_path, "--labels", "1", "--ignore", "1") == 2
    assert (
        "E244 code 1 is to be left out and to be scored. Name it in --ignore or in --labels" in capsys.readouterr().err
    )


def test_a_mark_in_a_folder_of_codes_is_no_class(tmp_path, capsys):
    """A case of which the reference holds the mark alone: refused, the other is scored."""
    codes = DISC + (FAR < 6).astype(np.uint8)
    mark = np.zeros_like(codes)
    mark[:4] = 255
    masks(tmp_path / "r", a=codes, b=mark)
    masks(tmp_path / "p", a=codes, b=mark * 0)
    assert evaluated(tmp_path) == 1
    assert "E224 case 'b': " in capsys.readouterr().err
    assert {row["case"] for row in rows(tmp_path)} == {"a"}


def test_masks_that_were_not_turned_alike_are_noted(tmp_path):
    exif = Picture.Exif()
    exif[0x0112] = 3
    masks(tmp_path / "p", a=DISC * np.uint8(255))
    (tmp_path / "r").mkdir()
    Picture.fromarray(DISC * np.uint8(255)).save(tmp_path / "r" / "a.png", exif=exif)
    assert evaluated(tmp_path) == 0
    note = "prediction was turned by its EXIF orientation (none) otherwise than the reference (3): a"
    assert note in (tmp_path / "o" / "summary.json").read_text()


def test_a_file_that_no_reader_knows_is_refused(tmp_path, capsys):
    masks(tmp_path / "r", a=DISC)
    masks(tmp_path / "p", a=DISC)
    Picture.fromarray(DISC).save(tmp_path / "r" / "b.gif")
    assert evaluated(tmp_path) == 2
    assert "E242 " in capsys.readouterr().err
