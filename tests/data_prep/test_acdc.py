from __future__ import annotations

import json

import numpy as np
import pytest

from data_prep.acdc import main, prepare
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image, write_nifti
from mednoisy.errors import UserError
from tests.data_prep.published_miniatures import HEART_GRID as AFFINE
from tests.data_prep.published_miniatures import HEARTS, acdc_flat, acdc_published, heart
from tests.data_prep.published_miniatures import PATIENTS as PUBLISHED


@pytest.fixture
def raw(tmp_path):
    acdc_published(tmp_path / "raw")
    return tmp_path / "raw"


def test_three_labeled_are_three_patients(raw, tmp_path):
    datalist = Datalist.load(prepare(raw, tmp_path / "out"), labeled=3)
    assert datalist.patients("labeled") == PUBLISHED["train"][:3] == ["patient099", "patient038", "patient050"]
    frames = [f"{patient}_{frame}" for patient in PUBLISHED["train"][:3] for frame in ("frame01", "frame12")]
    assert [case["id"] for case in datalist.cases("labeled")] == frames
    assert [case["id"] for case in datalist.cases("unlabeled")] == [f"{HEARTS[0]}_frame{n}" for n in ("01", "12")]
    assert [case["id"] for case in datalist.cases("hidden")] == [f"{HEARTS[0]}_frame01"]
    assert datalist.patients("validation") == PUBLISHED["val"][:1]
    assert datalist.patients("test") == PUBLISHED["test"][:1]
    assert "66 of the published train patients, 9 of the published val patients, 19" in datalist.protocol


def test_volumes_are_scaled_to_the_unit_range_on_their_own_grid(raw, tmp_path):
    case = Datalist.load(prepare(raw, tmp_path / "out")).cases("test")[0]
    stored, image = heart(5).astype(float), read_image(case["image"])
    np.testing.assert_allclose(image.array, (stored - stored.min()) / (stored.max() - stored.min()), atol=1e-6)
    assert image.spacing == pytest.approx((1.5, 1.5, 10))
    np.testing.assert_array_equal(read_image(case["label"]).array, heart(5) % 4)


def test_a_second_run_does_nothing(raw, tmp_path):
    prepare(raw, tmp_path / "out", workers=2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    prepare(raw, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_both_layouts_give_the_same(raw, tmp_path):
    acdc_flat(tmp_path / "flat")
    first = Datalist.load(prepare(raw, tmp_path / "a"))
    second = Datalist.load(prepare(tmp_path / "flat", tmp_path / "b"))
    assert first.split_digest == second.split_digest
    assert first.protocol == second.protocol


def test_a_strange_code_is_one_line(raw, tmp_path, capsys):
    patient = HEARTS[1]
    path = raw / "training" / patient / f"{patient}_frame01_gt.nii.gz"
    write_nifti(path, np.full((8, 9, 3), 4), AFFINE)
    assert main([str(raw), str(tmp_path / "out")]) == 2
    assert f"E206 case '{patient}_frame01': label holds 4; known codes are 0, 1, 2, 3." in capsys.readouterr().err
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_a_folder_without_patients_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E222 .* holds no published case"):
        prepare(tmp_path / "nothing", tmp_path / "out")


def test_the_split_is_the_published_one(shared_data):
    """The lists of the shared data, which hold every training and validation patient."""
    shared = json.loads((shared_data("acdc") / "split.json").read_text())
    for part in ("train", "val"):
        assert {case.split("_")[0] for case in shared[part]} == set(PUBLISHED[part])
    assert {case.split("_")[0] for case in shared["test"]} <= set(PUBLISHED["test"])
    for count in (3, 7):
        assert {case.split("_")[0] for case in shared[f"train_labeled_{count}"]} == set(PUBLISHED["train"][:count])
