"""Label maps for users carry the codes of the source, from the first folder to the page."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture
def scans(tmp_path, monkeypatch) -> Path:
    """Three phantoms with a label each whose one class has the code 7."""
    monkeypatch.chdir(tmp_path)
    datalist = Datalist.load(small_dataset(tmp_path / "phantoms") / "datalist.json")
    for part in ("scans", "masks"):
        Path(part).mkdir()
    for number, case in enumerate([*datalist.cases("labeled"), *datalist.cases("test")]):
        image, label = nibabel.load(case["image"]), nibabel.load(case["label"])
        nibabel.save(image, f"scans/Case {number} T1.nii.gz")
        codes = np.asarray(label.dataobj).astype(np.uint8) * 7
        nibabel.save(nibabel.Nifti1Image(codes, label.affine), f"masks/Case {number} label.nii.gz")
    return tmp_path


@pytest.mark.parametrize("link", [False, True])
def test_predictions_carry_the_codes_of_the_source(scans, link, capsys):
    words = ["--images", "scans", "--labels", "masks", "--output", "mine", "--names", "atrium"]
    assert main(["prepare", "own", *words, *(["--link"] if link else [])]) == 0
    table = json.loads(Path("mine/datalist.json").read_text())
    assert table["codes"] == {"0": 0, "1": 7}
    table["test"] = [table["labeled"].pop()]
    del table["split_digest"]
    Path("mine/datalist.json").write_text(json.dumps(table))
    assert main(train_arguments(Path("mine"), Path("run"), "--method", "supervised")) == 0
    assert json.loads(Path("run/run.json").read_text())["source_codes"] == [0, 7]
    case = table["test"][0]["id"]
    stored = read_image(f"run/predictions/{case}.nii.gz").array
    assert set(np.unique(stored)) <= {0, 7}
    assert stored.any()
    assert main(["predict", "run", "scans/Case 0 T1.nii.gz", "--output", "out", "--device", "cpu"]) == 0
    predicted = next(Path("out").rglob("*.nii.gz"))
    assert set(np.unique(read_image(predicted).array)) <= {0, 7}
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "No picture:" not in page
    assert "E206" not in page


@pytest.mark.parametrize("link", [False, True])
def test_masks_of_pictures_come_back_black_and_white(tmp_path, monkeypatch, link):
    monkeypatch.chdir(tmp_path)
    datalist = Datalist.load(small_dataset(tmp_path / "phantoms", "dermoscopy") / "datalist.json")
    for part in ("scans", "masks"):
        Path(part).mkdir()
    for number, case in enumerate([*datalist.cases("labeled"), *datalist.cases("test")]):
        Picture.open(case["image"]).save(f"scans/IMG {number}.png")
        mask = read_image(case["label"]).array > 0
        Picture.fromarray(mask.astype(np.uint8) * np.uint8(254)).save(f"masks/IMG {number} mask.png")
    words = ["--images", "scans", "--labels", "masks", "--output", "mine", "--names", "lesion"]
    assert main(["prepare", "own", *words, *(["--link"] if link else [])]) == 0
    table = json.loads(Path("mine/datalist.json").read_text())
    table["test"] = [table["labeled"].pop()]
    del table["split_digest"]
    Path("mine/datalist.json").write_text(json.dumps(table))
    more = ("--method", "supervised", "--set", "label_names=['background','lesion']")
    assert main(train_arguments(Path("mine"), Path("run"), *more, bundle="dermoscopy")) == 0
    stored = read_image(f"run/predictions/{table['test'][0]['id']}.png").array
    assert set(np.unique(stored)) <= {0, 254}
    assert "No picture:" not in Path("run/report.html").read_text(encoding="utf-8")
